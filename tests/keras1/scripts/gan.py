'''A generator and a discriminator that is frozen in the model of both.'''
import numpy as np
np.random.seed(59)
from keras.models import Sequential, Model, load_model
from keras.layers import Input, Dense
from keras.layers.advanced_activations import LeakyReLU
from keras.optimizers import Adam
import keras.backend as K

generator = Sequential()
generator.add(Dense(8, input_dim=2, activation='tanh'))
generator.add(Dense(1))

discriminator = Sequential()
discriminator.add(Dense(8, input_dim=1))
discriminator.add(LeakyReLU(0.2))
discriminator.add(Dense(1, activation='sigmoid'))
discriminator.compile(loss='binary_crossentropy', optimizer=Adam(lr=0.01))


def make_trainable(net, val):
    net.trainable = val
    for l in net.layers:
        l.trainable = val


make_trainable(discriminator, False)
z = Input(shape=(2,))
both = Model(input=z, output=discriminator(generator(z)))
both.compile(loss='binary_crossentropy', optimizer=Adam(lr=0.01))

judge = [w.copy() for w in discriminator.get_weights()]
maker = [w.copy() for w in generator.get_weights()]
both.train_on_batch(np.random.normal(size=(16, 2)), [1] * 16)
assert all(np.array_equal(a, b) for a, b in zip(judge, discriminator.get_weights()))
assert not np.array_equal(maker[0], generator.get_weights()[0])

for step in range(80):
    noise = np.random.normal(size=(16, 2))
    real = np.random.normal(4, .3, size=(16, 1))
    fake = generator.predict_on_batch(noise)
    maker = generator.get_weights()[0].copy()
    # compiled while it was trainable, so it is still trained
    d_loss = discriminator.train_on_batch(np.concatenate([real, fake]), [1] * 16 + [0] * 16)
    assert np.array_equal(maker, generator.get_weights()[0])
    g_loss = both.train_on_batch(noise, [1] * 16)
assert not np.array_equal(judge[0], discriminator.get_weights()[0])
assert abs(discriminator.predict(np.array([[4.]]))[0, 0] - 0.5) < 0.5
assert generator.predict(np.random.normal(size=(100, 2))).mean() > 1


# a loss of one's own goes into the file by its name
def absolute(y_true, y_pred):
    return K.mean(K.abs(y_true - y_pred), axis=-1)


generator.compile('sgd', absolute)
generator.save('generator.h5')
again = load_model('generator.h5', custom_objects={'absolute': absolute})
a = generator.test_on_batch(noise, real)
assert abs(a - again.test_on_batch(noise, real)) < 1e-5

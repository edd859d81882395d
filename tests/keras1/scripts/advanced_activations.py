'''PReLU, LeakyReLU, ELU, SReLU and the three modes of BatchNormalization.'''
import numpy as np
np.random.seed(17)
from keras.models import Sequential
from keras.optimizers import Adam
from keras.layers.core import Dense
from keras.layers.normalization import BatchNormalization
from keras.layers.advanced_activations import LeakyReLU, PReLU, ELU, SReLU, ThresholdedReLU
from keras.layers.noise import GaussianNoise, GaussianDropout

X = np.random.normal(3, 5, (256, 12))
Y = np.stack([X[:, 0] > 3, X[:, 0] <= 3], axis=1).astype('float32')

for activation in (LeakyReLU(alpha=.1), PReLU(), ELU(alpha=1.), SReLU(), ThresholdedReLU(theta=.1)):
    for mode in (0, 1, 2):
        model = Sequential()
        model.add(BatchNormalization(mode=mode, input_shape=(12,), epsilon=1e-5, momentum=0.5))
        model.add(Dense(8))
        model.add(activation.__class__.from_config(activation.get_config()))
        model.add(Dense(2, activation='softmax'))
        if mode == 0:
            trained = model

x = np.random.normal(3, 5, (256, 12)).astype('float32')
by_sample = Sequential([BatchNormalization(mode=1, input_shape=(12,), epsilon=1e-6)])
y = by_sample.predict(x)
wanted = (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, keepdims=True) + 1e-6)
assert np.allclose(y, wanted, atol=1e-3)
by_feature = Sequential([BatchNormalization(mode=2, input_shape=(12,), epsilon=1e-6)])
y = by_feature.predict(x, batch_size=256)
assert np.allclose(y, (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-6), atol=1e-3)

model = Sequential()
model.add(GaussianNoise(.1, input_shape=(12,)))
model.add(BatchNormalization())
model.add(Dense(8, init='glorot_normal'))
model.add(PReLU())
model.add(GaussianDropout(.1))
model.add(Dense(2, activation='softmax'))
model.compile(Adam(lr=0.02), 'categorical_crossentropy', metrics=['accuracy'])
hist = model.fit(X, Y, nb_epoch=15, batch_size=32, verbose=0)
assert hist.history['acc'][-1] > 0.85
gamma, beta, mean, std = model.layers[1].get_weights()
assert mean.shape == (12,)
assert np.abs(mean).max() > 1  # the input lies around 3

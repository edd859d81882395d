'''A convolutional network with the channels first, as on Theano.'''
import numpy as np
np.random.seed(123)

from keras import backend as K
from keras.models import Sequential
from keras.layers import Dense, Dropout, Activation, Flatten
from keras.layers import Convolution2D, MaxPooling2D
from keras.optimizers import Adam
from keras.utils.np_utils import to_categorical

K.set_image_dim_ordering('th')

nb_filters, nb_pool, nb_conv = 8, 2, 3
img_rows, img_cols = 12, 12

# crosses and squares
n = 240
y = np.random.randint(0, 2, n)
X = np.random.normal(0, .3, (n, 1, img_rows, img_cols)).astype('float32')
for i in range(n):
    r, c = np.random.randint(1, 6, 2)
    if y[i]:
        X[i, 0, r:r + 5, c + 2] += 1.5
        X[i, 0, r + 2, c:c + 5] += 1.5
    else:
        X[i, 0, r:r + 5, [c, c + 4]] += 1.5
        X[i, 0, [r, r + 4], c:c + 5] += 1.5
Y = to_categorical(y, 2)

if K.image_dim_ordering() == 'th':
    input_shape = (1, img_rows, img_cols)
else:
    input_shape = (img_rows, img_cols, 1)

model = Sequential()
model.add(Convolution2D(nb_filters, nb_conv, nb_conv,
                        border_mode='valid',
                        input_shape=input_shape))
model.add(Activation('relu'))
model.add(Convolution2D(nb_filters, nb_conv, nb_conv, subsample=(1, 1)))
model.add(Activation('relu'))
model.add(MaxPooling2D(pool_size=(nb_pool, nb_pool)))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(16))
model.add(Activation('relu'))
model.add(Dense(2))
model.add(Activation('softmax'))

assert model.layers[0].output_shape == (None, 8, 10, 10)
assert model.layers[4].output_shape == (None, 8, 4, 4)
assert model.layers[0].get_weights()[0].shape == (8, 1, 3, 3)

model.compile(loss='categorical_crossentropy', optimizer=Adam(lr=0.01), metrics=['accuracy'])
hist = model.fit(X, Y, batch_size=16, nb_epoch=8, verbose=0, validation_split=0.2)
assert hist.history['loss'][-1] < .5 * hist.history['loss'][0]
assert hist.history['val_acc'][-1] > 0.8

# what the first layers make of a picture
get_activations = K.function([model.layers[0].input, K.learning_phase()],
                             [model.layers[4].output])
pooled = get_activations([X[:3], 0])[0]
assert pooled.shape == (3, 8, 4, 4)
# the same with the kernels by hand, at one place
W, b = model.layers[0].get_weights()
by_hand = np.maximum((W[:, 0] * X[0, 0, :3, :3]).sum(axis=(1, 2)) + b, 0)
first = K.function([model.layers[0].input], [model.layers[1].output])([X[:1]])[0]
assert np.allclose(first[0, :, 0, 0], by_hand, atol=1e-4)
K.set_image_dim_ordering('tf')

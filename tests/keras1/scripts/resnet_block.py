'''Residual blocks with merge, and the inside of the model.'''
import numpy as np
np.random.seed(19)
from keras.layers import Input, Convolution2D, BatchNormalization, Activation, merge
from keras.layers import AveragePooling2D, Flatten, Dense, GlobalAveragePooling2D
from keras.models import Model
from keras.optimizers import Adam
from keras import backend as K

bn_axis = 3 if K.image_dim_ordering() == 'tf' else 1


def identity_block(input_tensor, kernel_size, filters, stage, block):
    nb_filter1, nb_filter2 = filters
    conv_name_base = 'res' + str(stage) + block + '_branch'
    bn_name_base = 'bn' + str(stage) + block + '_branch'

    x = Convolution2D(nb_filter1, 1, 1, name=conv_name_base + '2a')(input_tensor)
    x = BatchNormalization(axis=bn_axis, name=bn_name_base + '2a')(x)
    x = Activation('relu')(x)
    x = Convolution2D(nb_filter2, kernel_size, kernel_size, border_mode='same',
                      name=conv_name_base + '2b')(x)
    x = BatchNormalization(axis=bn_axis, name=bn_name_base + '2b')(x)

    x = merge([x, input_tensor], mode='sum')
    x = Activation('relu')(x)
    return x


img_input = Input(shape=(8, 8, 2))
x = Convolution2D(4, 3, 3, border_mode='same', name='conv1')(img_input)
assert x._keras_shape == (None, 8, 8, 4)
assert K.int_shape(x) == (None, 8, 8, 4)
x = identity_block(x, 3, [3, 4], stage=2, block='a')
x = AveragePooling2D((2, 2))(x)
x = GlobalAveragePooling2D()(x)
x = Dense(2, activation='softmax', name='fc')(x)
model = Model(img_input, x)

y = np.random.randint(0, 2, 120)
X = np.random.normal(0, 1, (120, 8, 8, 2))
X[y == 1] = np.cumsum(X[y == 1], axis=1) / 2
model.compile(optimizer=Adam(lr=0.02), loss='sparse_categorical_crossentropy', metrics=['accuracy'])
hist = model.fit(X, y[:, None], nb_epoch=12, batch_size=20, verbose=0)
assert hist.history['acc'][-1] > 0.85

assert model.get_layer('bn2a_branch2a').get_weights()[0].shape == (3,)
inside = Model(input=model.input, output=model.get_layer('conv1').output)
assert inside.predict(X[:2]).shape == (2, 8, 8, 4)

# only the head is trained further
for layer in model.layers[:-1]:
    layer.trainable = False
before = model.get_layer('conv1').get_weights()[0].copy()
head = model.get_layer('fc').get_weights()[0].copy()
model.compile(optimizer='sgd', loss='sparse_categorical_crossentropy')
model.train_on_batch(X[:20], y[:20])
assert np.array_equal(before, model.get_layer('conv1').get_weights()[0])
assert not np.array_equal(head, model.get_layer('fc').get_weights()[0])

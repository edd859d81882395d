'''A convolutional network with the channels last, trained by a generator of batches.'''
import numpy as np
np.random.seed(7)
from keras.models import Sequential
from keras.layers.core import Activation, Dense, Flatten, Dropout
from keras.layers.convolutional import Convolution2D, MaxPooling2D, ZeroPadding2D
from keras.optimizers import SGD
from keras.preprocessing.image import ImageDataGenerator
from keras.utils.np_utils import to_categorical

nb_classes, batch_size = 3, 20

y = np.random.randint(0, nb_classes, (200, 1))
X = np.random.randint(0, 120, (200, 8, 8, 3)).astype('uint8')
for i in range(200):
    X[i, :, :, y[i, 0]] += 100  # its colour is its class
Y = to_categorical(y, nb_classes)
X_train, Y_train, X_test, Y_test = X[:160], Y[:160], X[160:], Y[160:]
X_train = X_train.astype('float32')
X_test = X_test.astype('float32')

datagen = ImageDataGenerator(
    featurewise_center=True,
    samplewise_center=False,
    featurewise_std_normalization=True,
    zca_whitening=False,
    rotation_range=0,
    width_shift_range=0.1,
    height_shift_range=0.1,
    horizontal_flip=True,
    vertical_flip=False,
    dim_ordering='tf')
datagen.fit(X_train)

model = Sequential()
model.add(ZeroPadding2D((1, 1), input_shape=X_train.shape[1:], dim_ordering='tf'))
model.add(Convolution2D(6, 3, 3, activation='relu', dim_ordering='tf'))
model.add(MaxPooling2D((2, 2), strides=(2, 2), dim_ordering='tf'))
model.add(Dropout(0.1))
model.add(Flatten())
model.add(Dense(nb_classes, activation='softmax'))
sgd = SGD(lr=0.05, decay=1e-6, momentum=0.9, nesterov=True)
model.compile(loss='categorical_crossentropy', optimizer=sgd, metrics=['accuracy'])


def standardized():
    while True:
        for X_batch, Y_batch in datagen.flow(X_test, Y_test, batch_size=batch_size):
            yield X_batch, Y_batch


history = model.fit_generator(datagen.flow(X_train, Y_train, batch_size=batch_size),
                              samples_per_epoch=X_train.shape[0],
                              nb_epoch=4,
                              validation_data=standardized(),
                              nb_val_samples=len(X_test),
                              max_q_size=5, nb_worker=1, pickle_safe=False,
                              verbose=0)
assert sorted(history.history) == ['acc', 'loss', 'val_acc', 'val_loss']
assert history.epoch == [0, 1, 2, 3]
assert history.history['acc'][-1] > 0.9

loss, acc = model.evaluate_generator(standardized(), val_samples=40)
assert acc > 0.9
p = model.predict_generator(standardized(), val_samples=40)
assert p.shape == (40, nb_classes)

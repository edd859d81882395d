'''A multilayer perceptron with dropout on pictures of digits.'''
from __future__ import print_function
import numpy as np
np.random.seed(1337)  # for reproducibility

from keras.models import Sequential
from keras.layers.core import Dense, Dropout, Activation
from keras.optimizers import SGD, Adam, RMSprop
from keras.utils import np_utils

batch_size = 32
nb_classes = 4
nb_epoch = 12

# blurred bars at four places of an 8 x 8 picture
y_train = np.random.randint(0, nb_classes, 400)
X_train = np.random.uniform(0, 120, (400, 8, 8))
for i, k in enumerate(y_train):
    X_train[i, 2 * k:2 * k + 2] += 100
X_test, y_test = X_train[320:], y_train[320:]
X_train, y_train = X_train[:320], y_train[:320]

X_train = X_train.reshape(320, 64)
X_test = X_test.reshape(80, 64)
X_train = X_train.astype('float32')
X_test = X_test.astype('float32')
X_train /= 255
X_test /= 255
print(X_train.shape[0], 'train samples')

Y_train = np_utils.to_categorical(y_train, nb_classes)
Y_test = np_utils.to_categorical(y_test, nb_classes)

model = Sequential()
model.add(Dense(32, input_shape=(64,)))
model.add(Activation('relu'))
model.add(Dropout(0.2))
model.add(Dense(32))
model.add(Activation('relu'))
model.add(Dropout(0.2))
model.add(Dense(nb_classes))
model.add(Activation('softmax'))

model.summary()

model.compile(loss='categorical_crossentropy',
              optimizer=RMSprop(),
              metrics=['accuracy'])

history = model.fit(X_train, Y_train,
                    batch_size=batch_size, nb_epoch=nb_epoch,
                    verbose=2, validation_data=(X_test, Y_test))
score = model.evaluate(X_test, Y_test, verbose=0)
print('Test score:', score[0])
print('Test accuracy:', score[1])

assert sorted(history.history) == ['acc', 'loss', 'val_acc', 'val_loss']
assert len(history.history['loss']) == nb_epoch
assert model.metrics_names == ['loss', 'acc']
assert score[1] > 0.9
classes = model.predict_classes(X_test, verbose=0)
assert np.mean(classes == y_test) == np.float32(score[1])
proba = model.predict_proba(X_test, verbose=0)
assert proba.shape == (80, nb_classes)
assert np_utils.probas_to_classes(proba).tolist() == classes.tolist()

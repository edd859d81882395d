'''Weights of classes and of samples, also by time.'''
import numpy as np
np.random.seed(37)
from keras.models import Sequential
from keras.layers import Dense, TimeDistributed, SimpleRNN
from keras.layers.core import TimeDistributedDense
from keras.utils.np_utils import to_categorical

X = np.random.normal(size=(200, 3))
y = (X[:, 0] + .5 * np.random.normal(size=200) > 1).astype('int')  # few are 1

model = Sequential()
model.add(Dense(1, input_dim=3, activation='sigmoid', init='zero'))
model.compile(loss='binary_crossentropy', optimizer='sgd')
weighted = model.train_on_batch(X, y, class_weight={0: 1., 1: 5.})
by_hand = np.log(2) * np.mean(np.where(y == 1, 5., 1.))
assert abs(weighted - by_hand) < 1e-4

# what has no weight is not counted at all
model = Sequential()
model.add(Dense(1, input_dim=3, init='zero'))
model.compile(loss='mse', optimizer='sgd')
weights = np.where(np.arange(200) < 50, 2., 0.)
found = model.test_on_batch(X, y, sample_weight=weights)
assert abs(found - 2 * np.mean(y[:50] ** 2)) < 1e-4
assert abs(model.evaluate(X, y, sample_weight=np.ones(200), verbose=0) - np.mean(y ** 2)) < 1e-4

Y = to_categorical(y)
model = Sequential()
model.add(Dense(8, input_dim=3, activation='relu'))
model.add(Dense(2, activation='softmax'))
model.compile(loss='categorical_crossentropy', optimizer='adam', metrics=['accuracy'])
model.fit(X, Y, nb_epoch=15, batch_size=20, verbose=0, class_weight={0: 1., 1: 8.})
of_ones = model.predict_classes(X[y == 1], verbose=0).mean()
assert of_ones > 0.8

# weights of each time
S = np.random.normal(size=(20, 4, 2))
T = np.random.normal(size=(20, 4, 1))
W = np.zeros((20, 4))
W[:, 1] = 1.
model = Sequential()
model.add(SimpleRNN(3, input_shape=(4, 2), return_sequences=True))
model.add(TimeDistributed(Dense(1, init='zero')))
model.compile(loss='mse', optimizer='rmsprop', sample_weight_mode='temporal')
found = model.test_on_batch(S, T, sample_weight=W)
assert abs(found - np.mean(T[:, 1] ** 2)) < 1e-4
hist = model.fit(S, T, sample_weight=W, nb_epoch=20, verbose=0)
assert hist.history['loss'][-1] < hist.history['loss'][0]

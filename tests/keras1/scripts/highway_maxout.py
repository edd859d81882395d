'''Highway and maxout layers, constraints, and penalties on weights.'''
import numpy as np
np.random.seed(13)
from keras.models import Sequential
from keras.layers.core import Dense, Highway, MaxoutDense, Dropout, Activation
from keras.regularizers import l2, l1l2, WeightRegularizer
from keras.constraints import maxnorm, nonneg, unitnorm
from keras.optimizers import Adagrad, Nadam
from keras.objectives import mean_squared_error

X = np.random.uniform(-1, 1, (300, 10))
y = np.abs(X[:, 0]) + X[:, 1] ** 2

model = Sequential()
model.add(Dense(16, input_dim=10, init='he_normal', W_regularizer=l2(1e-4), b_constraint=maxnorm(2)))
model.add(MaxoutDense(16, nb_feature=3, W_constraint=maxnorm(m=2, axis=1)))
for i in range(2):
    model.add(Highway(activation='relu', transform_bias=None, W_regularizer=l1l2(1e-5, 1e-5)))
model.add(Dense(1, init=lambda shape, name: np.zeros(shape)))
model.compile(loss=mean_squared_error, optimizer=Nadam(lr=0.01), metrics=['mae'])
assert np.array_equal(model.predict(X), np.zeros((300, 1)))

hist = model.fit(X, y, nb_epoch=15, batch_size=30, verbose=0, validation_split=.1)
assert hist.history['loss'][-1] < .3 * hist.history['loss'][0]
assert 'val_mean_absolute_error' in hist.history
names = [layer.name for layer in model.layers]
assert names[1].startswith('maxoutdense_') and names[2].startswith('highway_')
assert model.layers[1].get_weights()[0].shape == (3, 16, 16)
norms = np.sqrt((model.layers[1].get_weights()[0] ** 2).sum(axis=1))
assert norms.max() < 2 + 1e-4

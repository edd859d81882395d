'''Losses and metrics of one's own, and those of the modules by name.'''
import numpy as np
np.random.seed(43)
import keras.backend as K
from keras import metrics, objectives
from keras.models import Sequential
from keras.layers import Dense
from keras.optimizers import Adam


def mean_pred(y_true, y_pred):
    return K.mean(y_pred)


def root_mean_squared_error(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - y_true), axis=-1))


def huber(y_true, y_pred, delta=1.0):
    error = K.abs(y_true - y_pred)
    small = K.minimum(error, delta)
    return K.mean(0.5 * K.square(small) + delta * (error - small), axis=-1)


def dice_coef(y_true, y_pred, smooth=1.):
    y_true_f = K.flatten(y_true)
    y_pred_f = K.flatten(y_pred)
    intersection = K.sum(y_true_f * y_pred_f)
    return (2. * intersection + smooth) / (K.sum(y_true_f) + K.sum(y_pred_f) + smooth)


def dice_coef_loss(y_true, y_pred):
    return -dice_coef(y_true, y_pred)


X = np.random.normal(size=(90, 4))
y = (X[:, :1] > 0).astype('float32')

model = Sequential([Dense(1, input_dim=4, activation='sigmoid')])
model.compile(optimizer='rmsprop', loss=huber,
              metrics=['accuracy', mean_pred, root_mean_squared_error, dice_coef, 'mse', 'precision',
                       metrics.binary_accuracy])
assert model.metrics_names == ['loss', 'acc', 'mean_pred', 'root_mean_squared_error', 'dice_coef',
                               'mean_squared_error', 'precision', 'binary_accuracy']
found = dict(zip(model.metrics_names, model.evaluate(X, y, batch_size=40, verbose=0)))
p = model.predict(X)
assert abs(found['mean_pred'] - p.mean()) < 1e-5
assert abs(found['root_mean_squared_error'] - np.abs(p - y).mean()) < 1e-5
assert abs(found['mean_squared_error'] - ((p - y) ** 2).mean()) < 1e-5
# of each batch, and the mean of them by their sizes
parts = [(slice(0, 40), 40), (slice(40, 80), 40), (slice(80, 90), 10)]
dice = sum(n * (2 * (p[s] * y[s]).sum() + 1) / (p[s].sum() + y[s].sum() + 1) for s, n in parts) / 90
assert abs(found['dice_coef'] - dice) < 1e-5
assert found['acc'] == found['binary_accuracy']

model.compile(optimizer=Adam(lr=0.05), loss=dice_coef_loss)
hist = model.fit(X, y, nb_epoch=10, batch_size=30, verbose=0)
assert hist.history['loss'][-1] < hist.history['loss'][0] < 0

t, q = K.variable(y), K.variable(p)
for name in ('mse', 'mae', 'hinge', 'poisson', 'binary_crossentropy'):
    by_sample = K.eval(objectives.get(name)(t, q))
    assert by_sample.shape == (90,)
    assert abs(K.eval(metrics.get(name)(t, q)) - by_sample.mean()) < 1e-5
assert abs(float(K.eval(metrics.binary_accuracy(t, q))) - np.mean((p > .5) == (y > .5))) < 1e-5

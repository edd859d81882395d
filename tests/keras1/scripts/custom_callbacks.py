'''Callbacks of one's own, early stopping, schedules of the learning rate, and a log.'''
import numpy as np
np.random.seed(23)
import csv
import keras
from keras.models import Sequential
from keras.layers import Dense
from keras.callbacks import (Callback, EarlyStopping, LearningRateScheduler, ReduceLROnPlateau,
                             CSVLogger, LambdaCallback, History)
from keras.optimizers import SGD
import keras.backend as K

X = np.random.normal(size=(100, 4))
y = X.dot([1., -2., 3., 0.5])


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs={}):
        self.losses = []
        self.sizes = []

    def on_batch_end(self, batch, logs={}):
        self.losses.append(logs.get('loss'))
        self.sizes.append(logs.get('size'))


class Stop(Callback):
    def __init__(self, value):
        super(Stop, self).__init__()
        self.value = value

    def on_epoch_end(self, epoch, logs={}):
        if logs.get('loss') < self.value:
            self.model.stop_training = True


def build(lr=0.05):
    model = Sequential()
    model.add(Dense(1, input_dim=4, init='zero'))
    model.compile(loss='mse', optimizer=SGD(lr=lr))
    return model


model = build(lr=0.)
history = LossHistory()
model.fit(X, y, batch_size=30, nb_epoch=2, verbose=0, callbacks=[history], shuffle=False)
# with a rate of 0 each batch has the loss that can be had by hand
by_hand = [np.mean(y[k:k + 30] ** 2) for k in (0, 30, 60, 90)] * 2
assert history.sizes == [30, 30, 30, 10] * 2
assert np.allclose(history.losses, by_hand, rtol=1e-3)
assert history.params['nb_epoch'] == 2 and history.params['nb_sample'] == 100

model = build()
rates = []
schedule = LearningRateScheduler(lambda epoch: float(0.05 * 0.5 ** epoch))
hist = model.fit(X, y, nb_epoch=4, verbose=0,
                 callbacks=[schedule,
                            LambdaCallback(on_epoch_end=lambda epoch, logs: rates.append(
                                float(K.get_value(model.optimizer.lr))))])
assert np.allclose(rates, [0.05, 0.025, 0.0125, 0.00625])

model = build()
hist = model.fit(X, y, nb_epoch=50, verbose=0, callbacks=[Stop(1.0), CSVLogger('log.csv')])
assert len(hist.epoch) < 50 and hist.history['loss'][-1] < 1.0
with open('log.csv') as f:
    rows = list(csv.DictReader(f))
assert [int(row['epoch']) for row in rows] == hist.epoch
assert abs(float(rows[-1]['loss']) - hist.history['loss'][-1]) < 1e-5

# nothing becomes better: the first epoch, and patience + 1 more
model = build(lr=0.)
hist = model.fit(X, y, nb_epoch=20, verbose=0, validation_split=.2,
                 callbacks=[EarlyStopping(monitor='val_loss', patience=2, verbose=0, mode='auto')])
assert len(hist.epoch) == 4, hist.epoch

model = build(lr=1e-6)
hist = model.fit(X, y, nb_epoch=5, verbose=0,
                 callbacks=[ReduceLROnPlateau(monitor='loss', factor=0.1, patience=1, epsilon=1.)])
assert np.allclose(hist.history['lr'], [1e-6, 1e-6, 1e-6, 1e-7, 1e-8]), hist.history['lr']

K.set_value(model.optimizer.lr, 0.1)
before = model.get_weights()[0].copy()
loss = model.train_on_batch(X, y)
step = model.get_weights()[0] - before
gradient = 2 * X.T.dot(X.dot(before) - y[:, None]) / 100
assert np.allclose(step, -0.1 * gradient, atol=1e-3)

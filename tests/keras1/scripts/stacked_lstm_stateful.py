'''Stacked recurrent layers that keep their states from batch to batch.'''
import numpy as np
np.random.seed(1337)
from keras.models import Sequential
from keras.layers import Dense
from keras.layers.recurrent import LSTM, GRU

tsteps = 1
batch_size = 10
epochs = 12

t = np.arange(120)
series = np.sin(t / 4.) * np.exp(-0.002 * t)
cos = series[:100, None, None]
expected_output = series[1:101, None]

model = Sequential()
model.add(LSTM(12,
               batch_input_shape=(batch_size, tsteps, 1),
               return_sequences=True,
               stateful=True))
model.add(GRU(8, batch_input_shape=(batch_size, tsteps, 1),
              return_sequences=False, consume_less='gpu',
              stateful=True))
model.add(Dense(1))
model.compile(loss='mse', optimizer='rmsprop')

losses = []
for i in range(epochs):
    hist = model.fit(cos,
                     expected_output,
                     batch_size=batch_size,
                     verbose=0,
                     nb_epoch=1,
                     shuffle=False)
    losses.append(hist.history['loss'][0])
    model.reset_states()
assert losses[-1] < losses[0]

first = model.predict(cos[:10], batch_size=batch_size)
second = model.predict(cos[:10], batch_size=batch_size)
model.reset_states()
third = model.predict(cos[:10], batch_size=batch_size)
assert not np.allclose(first, second)
assert np.allclose(first, third, atol=1e-6)

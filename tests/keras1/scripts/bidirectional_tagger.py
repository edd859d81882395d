'''A bidirectional tagger of sequences with masks, TimeDistributed, and a sequence to a sequence.'''
import numpy as np
np.random.seed(41)
from keras.models import Sequential
from keras.layers import Activation, TimeDistributed, Dense, RepeatVector, recurrent, Masking
from keras.layers import Bidirectional, GRU, LSTM, SimpleRNN, Dropout, Embedding
from keras.layers.wrappers import Bidirectional as AlsoBidirectional
from keras.preprocessing.sequence import pad_sequences

assert AlsoBidirectional is Bidirectional
RNN = recurrent.LSTM

# the tag of a word says whether the next one is larger
rows = [np.random.randint(1, 20, np.random.randint(3, 8)) for i in range(200)]
tags = [np.append(row[1:] > row[:-1], 0) for row in rows]
X = pad_sequences(rows, maxlen=8, padding='post')
Y = pad_sequences(tags, maxlen=8, padding='post')[:, :, None]

model = Sequential()
model.add(Embedding(20, 8, input_length=8, mask_zero=True))
model.add(Bidirectional(GRU(8, return_sequences=True), merge_mode='concat'))
model.add(TimeDistributed(Dense(1)))
model.add(Activation('sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='adam', metrics=['accuracy'])
hist = model.fit(X, Y, nb_epoch=4, batch_size=20, verbose=0)
assert hist.history['loss'][-1] < hist.history['loss'][0]
assert model.layers[1].output_shape == (None, 8, 16)

# what stands behind the end of a sequence counts neither for the states nor for the loss
p = model.predict(X)
counted = X > 0
loss = -(Y[:, :, 0] * np.log(p[:, :, 0]) + (1 - Y[:, :, 0]) * np.log(1 - p[:, :, 0]))
assert abs(model.test_on_batch(X, Y)[0] - loss[counted].mean()) < 1e-3

numbers = np.random.randint(0, 5, (120, 3))
one_hot = np.eye(5)[numbers]
seq2seq = Sequential()
seq2seq.add(RNN(16, input_shape=(3, 5)))
seq2seq.add(RepeatVector(3))
for _ in range(1):
    seq2seq.add(RNN(16, return_sequences=True))
seq2seq.add(TimeDistributed(Dense(5)))
seq2seq.add(Activation('softmax'))
seq2seq.compile(loss='categorical_crossentropy', optimizer='adam', metrics=['accuracy'])
hist = seq2seq.fit(one_hot, one_hot[:, ::-1], nb_epoch=2, batch_size=20, verbose=0)
assert hist.history['loss'][-1] < hist.history['loss'][0]
assert seq2seq.predict_classes(one_hot, verbose=0).shape == (120, 3)

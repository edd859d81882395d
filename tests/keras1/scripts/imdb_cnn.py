'''Embedding and a convolution over time, for the sentiment of sentences.'''
from __future__ import print_function
import numpy as np
np.random.seed(1337)

from keras.preprocessing import sequence
from keras.preprocessing.text import Tokenizer
from keras.models import Sequential
from keras.layers.core import Dense, Dropout, Activation, Lambda
from keras.layers.embeddings import Embedding
from keras.layers.convolutional import Convolution1D
from keras.layers.pooling import GlobalMaxPooling1D
from keras import backend as K

max_features = 40
maxlen = 10

good, bad = ['great', 'superb', 'lovely', 'fine'], ['awful', 'dull', 'poor', 'bad']
other = ['the', 'film', 'was', 'a', 'plot', 'with', 'an', 'actor', 'and', 'music']
labels = np.random.randint(0, 2, 300)
texts = []
for label in labels:
    words = list(np.random.choice(other, np.random.randint(4, 12)))
    words.insert(np.random.randint(len(words)), np.random.choice(good if label else bad))
    texts.append(' '.join(words) + '!')

tokenizer = Tokenizer(nb_words=max_features)
tokenizer.fit_on_texts(texts)
sequences = tokenizer.texts_to_sequences(texts)
print('Found %s unique tokens.' % len(tokenizer.word_index))
X = sequence.pad_sequences(sequences, maxlen=maxlen)
print('X shape:', X.shape)

model = Sequential()
model.add(Embedding(max_features,
                    8,
                    input_length=maxlen,
                    dropout=0.1))
model.add(Convolution1D(nb_filter=12,
                        filter_length=3,
                        border_mode='valid',
                        activation='relu',
                        subsample_length=1))


def max_1d(X):
    return K.max(X, axis=1)


model.add(Lambda(max_1d, output_shape=(12,)))
model.add(Dense(8))
model.add(Dropout(0.1))
model.add(Activation('relu'))
model.add(Dense(1))
model.add(Activation('sigmoid'))

model.compile(loss='binary_crossentropy',
              optimizer='adam',
              metrics=['accuracy'])
# labels as a list of numbers
model.fit(X[:240], labels[:240].tolist(),
          batch_size=16,
          nb_epoch=14,
          verbose=0,
          validation_data=(X[240:], labels[240:].tolist()))
score, acc = model.evaluate(X[240:], list(labels[240:]), batch_size=16, verbose=0)
print('Test accuracy:', acc)
assert acc > 0.85
assert model.predict_classes(X[240:], verbose=0).shape == (60, 1)
matrix = tokenizer.texts_to_matrix(texts[:5], mode='tfidf')
assert matrix.shape == (5, max_features) and matrix.max() > 0

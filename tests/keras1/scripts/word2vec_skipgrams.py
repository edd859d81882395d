'''Skip-grams: words that stand together get vectors that point together.'''
import numpy as np
import random
np.random.seed(47)
random.seed(47)
from keras.models import Sequential
from keras.layers import Dense, Activation, Merge, Reshape
from keras.layers.embeddings import Embedding
from keras.preprocessing.sequence import skipgrams, make_sampling_table
from keras.preprocessing.text import Tokenizer, text_to_word_sequence

animals = ['cat', 'dog', 'cow', 'pig']
tools = ['saw', 'axe', 'nail', 'file']
lines = [' '.join(random.sample(random.choice([animals, tools]), 4)) for i in range(60)]

tokenizer = Tokenizer()
tokenizer.fit_on_texts(lines)
max_features = len(tokenizer.word_index) + 1
assert max_features == 9
table = make_sampling_table(max_features)
assert table.shape == (9,) and (np.diff(table[1:]) > 0).all()

word = Sequential()
word.add(Embedding(max_features, 6, init='uniform', input_length=1))
context = Sequential()
context.add(Embedding(max_features, 6, init='uniform', input_length=1))
model = Sequential()
model.add(Merge([word, context], mode='dot', dot_axes=2))
model.add(Reshape((1,)))
model.add(Activation('sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='rmsprop')

losses = []
for epoch in range(3):
    for i, seq in enumerate(tokenizer.texts_to_sequences_generator(lines)):
        couples, labels = skipgrams(seq, max_features, window_size=4, negative_samples=1.)
        if couples:
            # one gradient update per sentence (one sentence = a few 1000s of word couples)
            X = np.array(couples, dtype='int32')
            loss = model.train_on_batch([X[:, 0], X[:, 1]], labels)
            losses.append(loss)
assert np.mean(losses[-30:]) < np.mean(losses[:30])
pairs = [(a, b) for a in animals for b in animals if a != b]
index = tokenizer.word_index
together = model.predict([np.array([index[a] for a, b in pairs]), np.array([index[b] for a, b in pairs])])
apart = model.predict([np.array([index[a] for a in animals]), np.array([index[b] for b in tools])])
assert together.mean() > apart.mean() + 0.02

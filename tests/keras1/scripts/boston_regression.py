'''Regression on a table of features, with the old keywords that had no effect any more.'''
import numpy as np
import warnings
np.random.seed(53)
from keras.models import Sequential
from keras.optimizers import Adam
from keras.layers.core import Dense, Activation
from keras.utils.np_utils import normalize

# like the prices of houses: 13 features of very different sizes
X = np.random.gamma(2., 1., (300, 13)) * 10. ** np.random.uniform(-1, 2, 13)
scale = X.std(axis=0)
prices = 20 + ((X - X.mean(axis=0)) / scale).dot(np.random.normal(0, 2, 13)) + np.random.normal(0, .5, 300)
X = (X - X.mean(axis=0)) / scale


def larger_model():
    model = Sequential()
    model.add(Dense(13, input_dim=13, init='normal', activation='relu'))
    model.add(Dense(6, init='normal', activation='relu'))
    model.add(Dense(1, init='normal'))
    model.compile(loss='mean_squared_error', optimizer='adam')
    return model


model = larger_model()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    model.compile(loss='mean_squared_error', optimizer=Adam(lr=0.01), class_mode='categorical')
    history = model.fit(X[:250], prices[:250], nb_epoch=30, batch_size=25, verbose=0,
                        show_accuracy=True)
    score = model.evaluate(X[250:], prices[250:], show_accuracy=True, verbose=0)
said = ' '.join(str(one.message) for one in caught)
assert 'class_mode' in said and 'show_accuracy' in said, said
assert score < 20 < history.history['loss'][0]
assert np.isscalar(score)
prediction = model.predict(X[250:])
residual = prediction.ravel() - prices[250:]
assert abs(np.mean(residual ** 2) - score) < 1e-2
# as rows of numbers
assert np.allclose(model.predict(X[250:].tolist()), prediction, atol=1e-4)
assert np.allclose(model.predict_on_batch(X[250:260].tolist()), prediction[:10], atol=1e-3)
assert np.allclose(np.linalg.norm(normalize(X[:3]), axis=1), 1)

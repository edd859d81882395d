'''A model in JSON and its weights in HDF5, and both in one file.'''
import numpy as np
np.random.seed(31)
import json
import os
from keras.models import Sequential, Model, model_from_json, model_from_config, load_model, save_model
from keras.layers import Dense, Activation, SimpleRNN, Input, Convolution1D, merge, TimeDistributed, Flatten
from keras.layers import BatchNormalization, Merge, Dropout

X = np.random.normal(size=(64, 6, 3))
y = (X[:, :, 0].sum(axis=1) > 0).astype('int')

model = Sequential()
model.add(Convolution1D(4, 3, border_mode='same', input_shape=(6, 3)))
model.add(BatchNormalization())
model.add(TimeDistributed(Dense(4, activation='relu')))
model.add(SimpleRNN(5))
model.add(Dropout(.1))
model.add(Dense(1, activation='sigmoid'))
model.compile(loss='binary_crossentropy', optimizer='adam', metrics=['accuracy'])
model.fit(X, y, nb_epoch=2, verbose=0)

model_json = model.to_json()
with open('model.json', 'w') as json_file:
    json_file.write(model_json)
model.save_weights('model.h5', overwrite=True)

described = json.loads(model_json)
assert described['class_name'] == 'Sequential' and described['keras_version'].startswith('1')
assert [layer['class_name'] for layer in described['config']][:2] == ['Convolution1D', 'BatchNormalization']

json_file = open('model.json', 'r')
loaded_model_json = json_file.read()
json_file.close()
loaded_model = model_from_json(loaded_model_json)
loaded_model.load_weights('model.h5')
loaded_model.compile(loss='binary_crossentropy', optimizer='rmsprop', metrics=['accuracy'])
score = loaded_model.evaluate(X, y, verbose=0)
assert np.allclose(score, model.evaluate(X, y, verbose=0), atol=1e-5)

# the whole, with its optimizer and its state
model.save('whole.h5')
del loaded_model
again = load_model('whole.h5')
for mine, theirs in zip(model.get_weights(), again.get_weights()):
    assert np.array_equal(mine, theirs)
first, second = model.optimizer.get_config(), again.optimizer.get_config()
assert first == second
again.layers[4].p = model.layers[4].p = 0.  # chance is not the same
a = model.train_on_batch(X, y)
b = again.train_on_batch(X, y)
for i in range(3):
    a, b = model.train_on_batch(X, y), again.train_on_batch(X, y)
assert np.allclose(a, b, atol=1e-4), (a, b)

# a graph, with a shared layer and a model inside
inner = Sequential([Dense(4, input_dim=3, activation='tanh')], name='inner')
one, two = Input(shape=(3,), name='one'), Input(shape=(3,), name='two')
shared = Dense(3, name='shared')
x = merge([inner(shared(one)), inner(shared(two))], mode='concat', name='both')
graph = Model(input=[one, two], output=[Dense(2, name='p')(x), Dense(1, name='q')(x)])
save_model(graph, 'graph.h5')
back = load_model('graph.h5')
data = [X[:, 0], X[:, 1]]
for mine, theirs in zip(graph.predict(data), back.predict(data)):
    assert np.allclose(mine, theirs, atol=1e-6)
rebuilt = model_from_json(graph.to_json())
rebuilt.set_weights(graph.get_weights())
for mine, theirs in zip(graph.get_weights(), rebuilt.get_weights()):
    assert np.array_equal(mine, theirs)
assert model_from_config(json.loads(graph.to_json())).output_names == ['p', 'q']

try:
    graph.save_weights('graph.h5', overwrite=False)
except Exception as error:
    assert 'exists' in str(error)
else:
    raise AssertionError('written over')

'''Several inputs and several outputs, by name, with weights for the losses.'''
import numpy as np
np.random.seed(5)
from keras.layers import Input, Embedding, LSTM, Dense, merge
from keras.models import Model

headline_data = np.random.randint(1, 50, (128, 12))
additional_data = np.random.normal(size=(128, 3))
labels = (headline_data[:, -1:] > 25).astype('float32')

main_input = Input(shape=(12,), dtype='int32', name='main_input')
x = Embedding(output_dim=8, input_dim=50, input_length=12)(main_input)
lstm_out = LSTM(8)(x)
auxiliary_loss = Dense(1, activation='sigmoid', name='aux_output')(lstm_out)

auxiliary_input = Input(shape=(3,), name='aux_input')
x = merge([lstm_out, auxiliary_input], mode='concat')
x = Dense(8, activation='relu')(x)
x = Dense(8, activation='relu')(x)
main_loss = Dense(1, activation='sigmoid', name='main_output')(x)

model = Model(input=[main_input, auxiliary_input], output=[main_loss, auxiliary_loss])
model.compile(optimizer='rmsprop', loss='binary_crossentropy',
              loss_weights=[1., 0.2])
hist = model.fit([headline_data, additional_data], [labels, labels],
                 nb_epoch=2, batch_size=32, verbose=0)
assert sorted(hist.history) == ['aux_output_loss', 'loss', 'main_output_loss']

model.compile(optimizer='rmsprop',
              loss={'main_output': 'binary_crossentropy', 'aux_output': 'binary_crossentropy'},
              loss_weights={'main_output': 1., 'aux_output': 0.2},
              metrics={'main_output': 'accuracy'})
assert model.metrics_names == ['loss', 'main_output_loss', 'aux_output_loss', 'main_output_acc']
hist = model.fit({'main_input': headline_data, 'aux_input': additional_data},
                 {'main_output': labels, 'aux_output': labels},
                 nb_epoch=12, batch_size=32, verbose=0,
                 sample_weight={'main_output': np.ones(128)})
h = hist.history
assert h['loss'][-1] < h['loss'][0]
for total, main, aux in zip(h['loss'], h['main_output_loss'], h['aux_output_loss']):
    assert abs(total - main - 0.2 * aux) < 1e-4

found = model.evaluate([headline_data, additional_data], [labels, labels], verbose=0)
assert len(found) == 4
assert abs(found[0] - found[1] - 0.2 * found[2]) < 1e-4
main, aux = model.predict([headline_data, additional_data])
assert main.shape == aux.shape == (128, 1)
assert abs(found[3] - np.mean((main > .5) == (labels > .5))) < 1e-5

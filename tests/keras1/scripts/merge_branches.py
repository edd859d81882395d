'''Sequential branches, merged at the head of another Sequential.'''
import numpy as np
np.random.seed(11)
from keras.models import Sequential
from keras.optimizers import Adam
from keras.layers import Merge, Dense, Activation
from keras.layers.core import Reshape, Permute, RepeatVector, Flatten, Masking

a = np.random.normal(size=(200, 6)).astype('float32')
b = np.random.normal(size=(200, 6)).astype('float32')
y = ((a * b).sum(axis=1) > 0).astype('int')

for mode in ('concat', 'ave', 'max', 'dot', 'cos'):
    left = Sequential()
    left.add(Dense(6, input_dim=6, init='identity'))
    right = Sequential()
    right.add(Dense(6, input_dim=6, init='identity'))
    model = Sequential()
    if mode == 'dot':
        model.add(Merge([left, right], mode='dot', dot_axes=1))
    else:
        model.add(Merge([left, right], mode=mode))
    out = model.predict([a, b])
    wanted = {'concat': lambda: np.concatenate([a, b], axis=1),
              'sum': lambda: a + b,
              'mul': lambda: a * b,
              'ave': lambda: (a + b) / 2,
              'max': lambda: np.maximum(a, b),
              'dot': lambda: (a * b).sum(axis=1, keepdims=True),
              'cos': lambda: ((a * b).sum(axis=1, keepdims=True)
                              / np.sqrt((a ** 2).sum(axis=1, keepdims=True)
                                        * (b ** 2).sum(axis=1, keepdims=True)))[:, None]}[mode]()
    assert out.shape == wanted.shape, mode
    assert np.allclose(out, wanted, atol=1e-4), mode

left_branch = Sequential()
left_branch.add(Dense(12, input_dim=6))
right_branch = Sequential()
right_branch.add(Dense(12, input_dim=6))
merged = Merge([left_branch, right_branch], mode=lambda pair: pair[0] * pair[1],
               output_shape=lambda shapes: shapes[0])

final_model = Sequential()
final_model.add(merged)
final_model.add(Dense(2, activation='softmax'))
final_model.compile(optimizer=Adam(lr=0.02), loss='sparse_categorical_crossentropy', metrics=['accuracy'])
hist = final_model.fit([a, b], y, nb_epoch=12, verbose=0, batch_size=20)
assert hist.history['acc'][-1] > 0.9

shapes = Sequential()
shapes.add(Reshape((3, 2), input_shape=(6,)))
shapes.add(Permute((2, 1)))
shapes.add(Flatten())
shapes.add(RepeatVector(2))
assert shapes.output_shape == (None, 2, 6)
assert np.array_equal(shapes.predict(a)[0, 0], a[0].reshape(3, 2).T.ravel())

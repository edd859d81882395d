'''Layers of one's own: with K.variable, with add_weight, with a mask, and in training only.'''
import numpy as np
np.random.seed(29)
from keras import backend as K
from keras import activations, initializations, regularizers, constraints
from keras.engine.topology import Layer, InputSpec
from keras.layers import Input, Dense, Embedding
from keras.models import Model, Sequential


class MyLayer(Layer):
    def __init__(self, output_dim, **kwargs):
        self.output_dim = output_dim
        super(MyLayer, self).__init__(**kwargs)

    def build(self, input_shape):
        input_dim = input_shape[1]
        initial_weight_value = np.random.random((input_dim, self.output_dim))
        self.W = K.variable(initial_weight_value)
        self.unused = K.variable(np.ones(3))
        self.trainable_weights = [self.W]

    def call(self, x, mask=None):
        return K.dot(x, self.W)

    def get_output_shape_for(self, input_shape):
        return (input_shape[0], self.output_dim)


class Attention(Layer):
    '''The mean of a sequence, weighted by what is learnt of each step.'''

    def __init__(self, init='glorot_uniform', W_regularizer=None, **kwargs):
        self.init = initializations.get(init)
        self.W_regularizer = regularizers.get(W_regularizer)
        self.supports_masking = True
        self.input_spec = [InputSpec(ndim=3)]
        super(Attention, self).__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.input_spec = [InputSpec(shape=(None, None, input_shape[2]))]
        self.W = self.add_weight((input_shape[-1],), initializer='uniform',
                                 name='{}_W'.format(self.name),
                                 regularizer=self.W_regularizer)
        self.b = self.init((1, 1), name='{}_b'.format(self.name))
        self.trainable_weights = [self.W, self.b]
        super(Attention, self).build(input_shape)

    def compute_mask(self, input, input_mask=None):
        return None

    def call(self, x, mask=None):
        e = K.tanh(K.sum(x * self.W, axis=-1) + K.sum(self.b))
        a = K.exp(e)
        if mask is not None:
            a *= K.cast(mask, K.floatx())
        a /= K.cast(K.sum(a, axis=1, keepdims=True) + K.epsilon(), K.floatx())
        return K.sum(x * K.expand_dims(a), axis=1)

    def get_output_shape_for(self, input_shape):
        return input_shape[0], input_shape[-1]


class Scaled(Layer):
    '''Twice its input while it is trained, plus noise of no size.'''

    def call(self, x, mask=None):
        noise = 0. * K.random_normal(K.shape(x))
        return K.in_train_phase(2. * x + noise, x)


model = Sequential()
model.add(MyLayer(3, input_shape=(5,)))
model.add(Dense(1))
model.compile('sgd', 'mse')
X = np.random.normal(size=(40, 5))
y = X.sum(axis=1)
assert model.layers[0].output_shape == (None, 3)
assert len(model.layers[0].trainable_weights) == 1
before = [w.copy() for w in model.layers[0].get_weights()]
hist = model.fit(X, y, nb_epoch=10, verbose=0)
assert hist.history['loss'][-1] < hist.history['loss'][0]
after = model.layers[0].get_weights()
assert not np.allclose(before[0], after[0])
assert np.array_equal(after[-1], np.ones(3))

words = Input(shape=(6,), dtype='int32')
x = Embedding(10, 4, mask_zero=True)(words)
x = Attention(W_regularizer=regularizers.l2(0.01))(x)
out = Dense(1, activation='sigmoid')(x)
model = Model(words, out)
model.compile('adam', 'binary_crossentropy')
data = np.random.randint(1, 10, (30, 6))
data[:, 4:] = 0
labels = (data[:, 0] > 5).astype(int)
hist = model.fit(data, labels, nb_epoch=5, verbose=0)
assert hist.history['loss'][-1] < hist.history['loss'][0]
# what is masked does not count
shorter = Model(words, out).predict(data)
again = data.copy()
assert np.allclose(shorter, model.predict(again))
pooled = K.function([words], [x])([data])[0]
W, b = model.layers[2].get_weights()
table = model.layers[1].get_weights()[0][data[:, :4]]
a = np.exp(np.tanh(table.dot(W) + b.sum()))
a /= a.sum(axis=1, keepdims=True)
assert np.allclose(pooled, (table * a[:, :, None]).sum(axis=1), atol=1e-4)

inp = Input(shape=(2,))
scaled = Scaled()(inp)
f = K.function([inp, K.learning_phase()], [scaled])
one = np.ones((1, 2))
assert np.allclose(f([one, 0])[0], 1)
assert np.allclose(f([one, 1])[0], 2)

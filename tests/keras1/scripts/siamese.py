'''Twin networks with shared layers, and a contrastive loss.'''
import numpy as np
np.random.seed(1337)
import random
random.seed(2)
from keras.models import Sequential, Model
from keras.layers import Dense, Dropout, Input, Lambda
from keras.optimizers import SGD, RMSprop
from keras import backend as K


def euclidean_distance(vects):
    x, y = vects
    return K.sqrt(K.maximum(K.sum(K.square(x - y), axis=1, keepdims=True), K.epsilon()))


def eucl_dist_output_shape(shapes):
    shape1, shape2 = shapes
    return (shape1[0], 1)


def contrastive_loss(y_true, y_pred):
    '''Pairs alike are drawn together, others pushed apart up to a margin.'''
    margin = 1
    return K.mean(y_true * K.square(y_pred) + (1 - y_true) * K.square(K.maximum(margin - y_pred, 0)))


def create_base_network(input_dim):
    seq = Sequential()
    seq.add(Dense(16, input_shape=(input_dim,), activation='relu'))
    seq.add(Dropout(0.1))
    seq.add(Dense(8, activation='relu'))
    return seq


def compute_accuracy(predictions, labels):
    return labels[predictions.ravel() < 0.5].mean()


centers = np.random.normal(0, 1, (4, 10))
classes = np.random.randint(0, 4, 300)
points = centers[classes] + np.random.normal(0, .3, (300, 10))
pairs, labels = [], []
for i in range(300):
    like = random.choice(np.where(classes == classes[i])[0].tolist())
    unlike = random.choice(np.where(classes != classes[i])[0].tolist())
    pairs += [[points[i], points[like]], [points[i], points[unlike]]]
    labels += [1, 0]
pairs, labels = np.array(pairs), np.array(labels)

input_dim = 10
base_network = create_base_network(input_dim)

input_a = Input(shape=(input_dim,))
input_b = Input(shape=(input_dim,))

# the same weights for both
processed_a = base_network(input_a)
processed_b = base_network(input_b)

distance = Lambda(euclidean_distance, output_shape=eucl_dist_output_shape)([processed_a, processed_b])
assert distance._keras_shape == (None, 1)

model = Model(input=[input_a, input_b], output=distance)
assert len(model.get_weights()) == 4

rms = RMSprop()
model.compile(loss=contrastive_loss, optimizer=rms)
hist = model.fit([pairs[:500, 0], pairs[:500, 1]], labels[:500],
                 validation_data=([pairs[500:, 0], pairs[500:, 1]], labels[500:]),
                 batch_size=50,
                 verbose=0,
                 nb_epoch=12)
assert hist.history['loss'][-1] < .5 * hist.history['loss'][0]
pred = model.predict([pairs[500:, 0], pairs[500:, 1]])
assert compute_accuracy(pred, labels[500:]) > 0.85

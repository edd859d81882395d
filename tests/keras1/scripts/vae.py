'''A variational autoencoder: a Lambda draws, the loss looks into the middle of the model.'''
import numpy as np
np.random.seed(3)

from keras.layers import Input, Dense, Lambda
from keras.models import Model
from keras import backend as K
from keras import objectives

batch_size = 40
original_dim = 16
latent_dim = 2
intermediate_dim = 16
nb_epoch = 15
epsilon_std = 1.0

x = Input(batch_shape=(batch_size, original_dim))
h = Dense(intermediate_dim, activation='relu')(x)
z_mean = Dense(latent_dim)(h)
z_log_var = Dense(latent_dim)(h)


def sampling(args):
    z_mean, z_log_var = args
    epsilon = K.random_normal(shape=(batch_size, latent_dim), mean=0.,
                              std=epsilon_std)
    return z_mean + K.exp(z_log_var / 2) * epsilon


z = Lambda(sampling, output_shape=(latent_dim,))([z_mean, z_log_var])

decoder_h = Dense(intermediate_dim, activation='relu')
decoder_mean = Dense(original_dim, activation='sigmoid')
h_decoded = decoder_h(z)
x_decoded_mean = decoder_mean(h_decoded)


def vae_loss(x, x_decoded_mean):
    xent_loss = original_dim * objectives.binary_crossentropy(x, x_decoded_mean)
    kl_loss = - 0.5 * K.sum(1 + z_log_var - K.square(z_mean) - K.exp(z_log_var), axis=-1)
    return xent_loss + kl_loss


vae = Model(x, x_decoded_mean)
vae.compile(optimizer='rmsprop', loss=vae_loss)

kind = np.random.randint(0, 2, 400)
x_train = np.random.uniform(0, .2, (400, original_dim))
x_train[kind == 0, :8] += .8
x_train[kind == 1, 8:] += .8
x_train, x_test = x_train[:320], x_train[320:]

history = vae.fit(x_train, x_train,
                  shuffle=True,
                  nb_epoch=nb_epoch,
                  batch_size=batch_size,
                  verbose=0,
                  validation_data=(x_test, x_test))
assert history.history['loss'][-1] < .9 * history.history['loss'][0]
assert np.isfinite(history.history['val_loss']).all()

encoder = Model(x, z_mean)
codes = encoder.predict(x_test, batch_size=batch_size)
assert codes.shape == (80, latent_dim)

decoder_input = Input(shape=(latent_dim,))
generator = Model(decoder_input, decoder_mean(decoder_h(decoder_input)))
assert generator.predict(np.array([[0., 1.]])).shape == (1, original_dim)

# the loss is that of the formula, as far as chance does not enter it
vae.compile(optimizer='rmsprop', loss=lambda x, y: 0 * K.sum(y, axis=-1) + K.sum(z_mean ** 2, axis=-1))
found = vae.evaluate(x_test, x_test, batch_size=batch_size, verbose=0)
assert abs(found - (codes ** 2).sum(axis=1).mean()) < 1e-4

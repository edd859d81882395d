'''An autoencoder, its encoder and its decoder, from shared layers.'''
import numpy as np
np.random.seed(0)
from keras.layers import Input, Dense
from keras.models import Model
from keras import regularizers
from keras.regularizers import activity_l1
from keras.callbacks import EarlyStopping, ModelCheckpoint

encoding_dim = 4
basis = np.random.uniform(0, 1, (4, 20))
x_train = np.random.dirichlet(np.ones(4), 300).dot(basis).astype('float32')
x_test = np.random.dirichlet(np.ones(4), 60).dot(basis).astype('float32')

input_img = Input(shape=(20,))
encoded = Dense(encoding_dim, activation='linear',
                activity_regularizer=regularizers.activity_l1(10e-8))(input_img)
decoded = Dense(20, activation='sigmoid')(encoded)
autoencoder = Model(input=input_img, output=decoded)

encoder = Model(input=input_img, output=encoded)
encoded_input = Input(shape=(encoding_dim,))
decoder_layer = autoencoder.layers[-1]
decoder = Model(input=encoded_input, output=decoder_layer(encoded_input))

autoencoder.compile(optimizer='adam', loss='binary_crossentropy')
history = autoencoder.fit(x_train, x_train,
                          nb_epoch=25,
                          batch_size=32,
                          shuffle=True,
                          verbose=0,
                          callbacks=[EarlyStopping(monitor='val_loss', patience=3),
                                     ModelCheckpoint('auto.hdf5', save_best_only=True)],
                          validation_data=(x_test, x_test))
assert history.history['loss'][-1] < history.history['loss'][0]

encoded_imgs = encoder.predict(x_test)
decoded_imgs = decoder.predict(encoded_imgs)
assert encoded_imgs.shape == (60, 4)
assert np.allclose(decoded_imgs, autoencoder.predict(x_test), atol=1e-5)

# the best one, from its file
best = float(min(history.history['val_loss']))
autoencoder.load_weights('auto.hdf5')
assert abs(autoencoder.evaluate(x_test, x_test, verbose=0) - best) < 1e-4

"""Every public name of Keras 1.2.2 is there, or says what to write in its place."""

from __future__ import annotations

import importlib

import pytest

from normscope.errors import SpecError

ROOT = "normscope.keras1"

# What each module of Keras 1.2.2 defines or takes from another for its users.
NAMES = {
    "layers.core": "Activation ActivityRegularization Dense Dropout Flatten Highway Lambda Layer "
    "Masking MaxoutDense Merge Permute RepeatVector Reshape SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D TimeDistributedDense InputSpec",
    "layers.convolutional": "AtrousConv1D AtrousConv2D AtrousConvolution1D AtrousConvolution2D "
    "AveragePooling1D AveragePooling2D AveragePooling3D Conv1D Conv2D Conv3D Convolution1D "
    "Convolution2D Convolution3D Cropping1D Cropping2D Cropping3D Deconv2D Deconvolution2D "
    "MaxPooling1D MaxPooling2D MaxPooling3D SeparableConv2D SeparableConvolution2D UpSampling1D "
    "UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "layers.pooling": "AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D "
    "GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GlobalMaxPooling3D MaxPooling1D MaxPooling2D MaxPooling3D",
    "layers.normalization": "BatchNormalization",
    "layers.advanced_activations": "ELU LeakyReLU PReLU ParametricSoftplus SReLU ThresholdedReLU",
    "layers.recurrent": "GRU LSTM Recurrent SimpleRNN time_distributed_dense",
    "layers.convolutional_recurrent": "ConvLSTM2D ConvRecurrent2D",
    "layers.embeddings": "Embedding",
    "layers.noise": "GaussianDropout GaussianNoise",
    "layers.wrappers": "Bidirectional TimeDistributed Wrapper",
    "layers.local": "LocallyConnected1D LocallyConnected2D",
    "layers": "Activation BatchNormalization Bidirectional ConvLSTM2D Convolution2D Dense Dropout "
    "Embedding Flatten GRU GaussianNoise GlobalMaxPooling1D Input InputLayer InputSpec LSTM Lambda "
    "Layer LocallyConnected1D MaxPooling2D Merge PReLU TimeDistributed Wrapper merge",
    "engine": "Input InputLayer InputSpec Layer Merge Model get_source_inputs merge",
    "engine.topology": "Container Input InputLayer InputSpec Layer Merge Node get_source_inputs "
    "merge",
    "engine.training": "Model",
    "models": "Model Sequential load_model model_from_config model_from_json model_from_yaml "
    "save_model",
    "optimizers": "Adadelta Adagrad Adam Adamax Nadam Optimizer RMSprop SGD TFOptimizer adadelta "
    "adagrad adam adamax get nadam rmsprop sgd",
    "objectives": "KLD MAE MAPE MSE MSLE binary_crossentropy categorical_crossentropy cosine "
    "cosine_proximity get hinge kld kullback_leibler_divergence mae mape mean_absolute_error "
    "mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error mse msle "
    "poisson sparse_categorical_crossentropy squared_hinge",
    "metrics": "MAE MAPE MSE MSLE binary_accuracy binary_crossentropy categorical_accuracy "
    "categorical_crossentropy cosine cosine_proximity f1score fbeta_score fmeasure fscore get "
    "hinge kullback_leibler_divergence mae mape matthews_correlation mean_absolute_error "
    "mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error mse msle "
    "poisson precision recall sparse_categorical_accuracy sparse_categorical_crossentropy "
    "squared_hinge top_k_categorical_accuracy",
    "regularizers": "ActivityRegularizer EigenvalueRegularizer L1L2Regularizer Regularizer "
    "WeightRegularizer activity_l1 activity_l1l2 activity_l2 get l1 l1l2 l2",
    "constraints": "Constraint MaxNorm MinMaxNorm NonNeg UnitNorm get maxnorm nonneg unitnorm",
    "initializations": "get get_fans glorot_normal glorot_uniform he_normal he_uniform identity "
    "lecun_uniform normal one orthogonal uniform zero",
    "activations": "elu get hard_sigmoid linear relu sigmoid softmax softplus softsign tanh",
    "callbacks": "BaseLogger CSVLogger Callback CallbackList EarlyStopping History LambdaCallback "
    "LearningRateScheduler ModelCheckpoint ProgbarLogger ReduceLROnPlateau RemoteMonitor "
    "TensorBoard",
    "utils.np_utils": "accuracy binary_logloss categorical_probas_to_classes conv_input_length "
    "conv_output_length convert_kernel multiclass_logloss normalize probas_to_classes "
    "to_categorical",
    "utils.generic_utils": "CustomObjectScope Progbar custom_object_scope func_dump func_load "
    "get_custom_objects get_from_module make_tuple",
    "utils.visualize_util": "model_to_dot plot",
    "utils.layer_utils": "convert_all_kernels_in_model count_total_params layer_from_config "
    "print_summary",
    "utils.data_utils": "get_file validate_file",
    "utils.io_utils": "HDF5Matrix ask_to_proceed_with_overwrite load_array save_array",
    "preprocessing.sequence": "make_sampling_table pad_sequences skipgrams",
    "preprocessing.text": "Tokenizer one_hot text_to_word_sequence",
    "preprocessing.image": "DirectoryIterator ImageDataGenerator Iterator NumpyArrayIterator "
    "apply_transform array_to_img flip_axis img_to_array list_pictures load_img "
    "random_channel_shift random_rotation random_shear random_shift random_zoom "
    "transform_matrix_offset_center",
    "datasets.mnist": "load_data",
    "datasets.cifar10": "load_data",
    "datasets.cifar100": "load_data",
    "datasets.imdb": "get_word_index load_data",
    "datasets.reuters": "get_word_index load_data",
    "applications": "InceptionV3 MusicTaggerCRNN ResNet50 VGG16 VGG19 Xception",
    "applications.vgg16": "VGG16 decode_predictions preprocess_input",
    "applications.resnet50": "ResNet50 decode_predictions preprocess_input",
    "applications.imagenet_utils": "decode_predictions preprocess_input",
    "wrappers.scikit_learn": "BaseWrapper KerasClassifier KerasRegressor",
    "backend": "abs all any arange argmax argmin asymmetric_spatial_2d_padding "
    "asymmetric_temporal_padding atrous_conv2d backend batch_dot batch_flatten batch_get_value "
    "batch_normalization batch_set_value binary_crossentropy cast cast_to_floatx "
    "categorical_crossentropy clear_session clip concatenate conv1d conv2d conv3d cos count_params "
    "ctc_batch_cost ctc_decode ctc_label_dense_to_sparse deconv2d dot dropout dtype elu epsilon "
    "equal eval exp expand_dims eye flatten floatx foldl foldr function gather get_session get_uid "
    "get_value get_variable_shape gradients greater greater_equal hard_sigmoid image_dim_ordering "
    "in_test_phase in_top_k in_train_phase int_shape is_keras_tensor is_sparse l2_normalize "
    "learning_phase legacy_weight_ordering lesser lesser_equal log manual_variable_initialization "
    "map_fn max maximum mean min minimum moving_average_update ndim normalize_batch_in_training "
    "not_equal one_hot ones ones_like permute_dimensions placeholder pool2d pool3d pow "
    "print_tensor prod random_binomial random_normal random_normal_variable random_uniform "
    "random_uniform_variable relu repeat repeat_elements reset_uids reshape resize_images "
    "resize_volumes reverse rnn round separable_conv2d set_epsilon set_floatx "
    "set_image_dim_ordering set_learning_phase set_legacy_weight_ordering set_session set_value "
    "shape sigmoid sign sin softmax softplus softsign sparse_categorical_crossentropy "
    "spatial_2d_padding spatial_3d_padding sqrt square squeeze stack std stop_gradient sum switch "
    "tanh temporal_padding tile to_dense transpose update update_add update_sub var variable zeros "
    "zeros_like",
}


@pytest.mark.framework
@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_there_or_says_what_to_write(module: str) -> None:
    found = importlib.import_module(f"{ROOT}.{module}")
    for name in NAMES[module].split():
        try:
            assert getattr(found, name) is not None
        except SpecError as error:
            said, _, instead = str(error).partition("; ")
            assert said == f"keras.{module}.{name} of Keras 1 is not offered"
            assert len(instead) > 10


@pytest.mark.framework
@pytest.mark.parametrize("module", [*NAMES, "layers.unknown_name"])
def test_other_names_are_no_attributes(module: str) -> None:
    if module == "layers.unknown_name":
        with pytest.raises(ImportError):
            importlib.import_module(f"{ROOT}.{module}")
        return
    assert not hasattr(importlib.import_module(f"{ROOT}.{module}"), "name_of_nothing")


@pytest.mark.framework
def test_an_import_says_what_to_use() -> None:
    with pytest.raises(SpecError, match=r"keras\.utils\.plot_model"):
        from normscope.keras1.utils.visualize_util import plot  # noqa: F401
    with pytest.raises(SpecError, match=r"keras\.datasets\.mnist\.load_data\(\) of Keras 3"):
        from normscope.keras1.datasets.mnist import load_data  # noqa: F401
    from normscope.keras1.datasets import mnist

    with pytest.raises(SpecError, match="load_data"):
        mnist.load_data()


@pytest.mark.framework
def test_the_package_has_its_modules_as_keras_had() -> None:
    import normscope.keras1 as keras

    assert keras.__version__ == "1.2.2"
    assert keras.layers.core.Dense is keras.Dense
    assert keras.callbacks.Callback.__module__.startswith("normscope")
    assert keras.utils.np_utils.to_categorical([1]).tolist() == [[0, 1]]
    assert keras.backend.floatx() == "float32"

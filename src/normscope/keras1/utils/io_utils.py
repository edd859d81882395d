"""`keras.utils.io_utils` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "utils.io_utils",
    {
        "HDF5Matrix": "give the data set itself: h5py.File(path)['x'][start:end]",
        "save_array": "write numpy.save(path, array)",
        "load_array": "write numpy.load(path)",
        "ask_to_proceed_with_overwrite": "write model.save(path, overwrite=True) or False",
    },
)

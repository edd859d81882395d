"""How fast normscope is: each file here is one question, and prints its answer as a table.

    python -m benchmarks               # all of it, as `make bench`: ten minutes on 2 cores
    python -m benchmarks --check       # and exit status 1 if a demand is not met
    python -m benchmarks.large         # 49 MiB: every case beside all peers and a plain copy
    python -m benchmarks.backward      # 49 MiB, gradients: every case beside PyTorch
    python -m benchmarks.sizes         # 4 KiB to 512 MiB: every case beside PyTorch and a copy
    python -m benchmarks.rows          # 8 to 8192 rows of 768, beside PyTorch's layer norm
    python -m benchmarks.paces         # right after an operator of PyTorch, and calls apart
    python -m benchmarks.first_call    # import, first call and second call of a new process
    python -m benchmarks.fitting       # `fit` beside scikit-learn's StandardScaler
    python -m benchmarks.synchronization # statistics over processes: bytes and time, with a model
    python -m benchmarks.training_step # a step of training with the Keras layer `Norm`
    python -m benchmarks.torch_layers  # the PyTorch layer `Norm` beside PyTorch's: a quarter hour
    python -m benchmarks.torch_models  # whole networks of PyTorch before and after `swap`

Run them in the folder above this one. Only a quiet machine gives fair numbers: where another
process takes a core, PyTorch, whose threads wait for each other, has been seen to take 40 times as
long. Fewer cores for all of them: `taskset -c 0,1 python -m benchmarks`.
"""

"""PyTorch: its modules, called, watched, put back, and followed operator by operator.

trace                  the whole way, from a module; `functions`: from a function
operator_recorder      turns the operators that run into nodes
known_tensors          which value each tensor holds just now, and who shares its memory
program_reads          notices numbers that a program takes out of tensors
module_calls           which module runs just now
aten/                  what the operators mean
exported/              programs of `torch.export`, as objects and as files
"""

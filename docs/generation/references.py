"""References as links: "keras#1921, tensorflow PR 24979, arXiv 1801.05134"."""

from __future__ import annotations

import re

REPOSITORIES = {
    "aimet": "qualcomm/aimet",
    "annotated-transformer": "harvardnlp/annotated-transformer",
    "asteroid": "asteroid-team/asteroid",
    "attalos": "Lab41/attalos",
    "attention-is-all-you-need-pytorch": "jadore801120/attention-is-all-you-need-pytorch",
    "BayesBiNN": "team-approx-bayes/BayesBiNN",
    "BERT-pytorch": "codertimo/BERT-pytorch",
    "burn": "tracel-ai/burn",
    "chainer": "chainer/chainer",
    "chemprop": "chemprop/chemprop",
    "CLAM": "mahmoodlab/CLAM",
    "CLIP_Surgery": "xmed-lab/CLIP_Surgery",
    "coinrun": "openai/coinrun",
    "ComfyUI": "Comfy-Org/ComfyUI",
    "ConvNeXt": "facebookresearch/ConvNeXt",
    "coremltools": "apple/coremltools",
    "CTranslate2": "OpenNMT/CTranslate2",
    "DAN": "yaoing/DAN",
    "DCGAN-tensorflow": "carpedm20/DCGAN-tensorflow",
    "DeblurGAN": "KupynOrest/DeblurGAN",
    "DecGAN": "ZerojumpLine/DecGAN",
    "deep_qa": "allenai/deep_qa",
    "DeepXi": "anicolson/DeepXi",
    "detectron2": "facebookresearch/detectron2",
    "diffusers": "huggingface/diffusers",
    "DoLa": "voidism/DoLa",
    "DSBN": "woozch/DSBN",
    "EfficientNet-PyTorch": "lukemelas/EfficientNet-PyTorch",
    "ema-pytorch": "lucidrains/ema-pytorch",
    "equinox": "patrick-kidger/equinox",
    "Face-Sketch-Wild": "chaofengc/Face-Sketch-Wild",
    "fairscale": "facebookresearch/fairscale",
    "Fast-LLM": "ServiceNow/Fast-LLM",
    "fast-reid": "JDAI-CV/fast-reid",
    "fastai": "fastai/fastai",
    "fastai2": "fastai/fastai2",
    "FastDeploy": "PaddlePaddle/FastDeploy",
    "faster-trajectory-transformer": "Howuhh/faster-trajectory-transformer",
    "filter-pruning-geometric-median": "he-y/filter-pruning-geometric-median",
    "flax": "google/flax",
    "ganhacks": "soumith/ganhacks",
    "geometric-algebra-transformer": "Qualcomm-AI-research/geometric-algebra-transformer",
    "gpt-neox": "EleutherAI/gpt-neox",
    "handson-ml2": "ageron/handson-ml2",
    "handson-ml3": "ageron/handson-ml3",
    "higher": "facebookresearch/higher",
    "insightface": "deepinsight/insightface",
    "KAIR": "cszn/KAIR",
    "keras": "keras-team/keras",
    "keras-bert": "CyberZHG/keras-bert",
    "keras-core": "keras-team/keras-core",
    "keras-cv": "keras-team/keras-cv",
    "Keras-GAN": "eriklindernoren/Keras-GAN",
    "keras-resnet": "broadinstitute/keras-resnet",
    "keras-swa": "simon-larsson/keras-swa",
    "L-OBS": "csyhhu/L-OBS",
    "leela-zero": "leela-zero/leela-zero",
    "Liger-Kernel": "linkedin/Liger-Kernel",
    "lightly": "lightly-ai/lightly",
    "lightning-uq-box": "lightning-uq-box/lightning-uq-box",
    "llm-foundry": "mosaicml/llm-foundry",
    "LSTM-for-Human-Activity-Recognition": (
        "xieyulai/LSTM-for-Human-Activity-Recognition-using-2D-Pose_Pytorch"
    ),
    "ludwig": "ludwig-ai/ludwig",
    "Mask_RCNN": "matterport/Mask_RCNN",
    "Megatron-LM": "NVIDIA/Megatron-LM",
    "MixMatch-pytorch": "YU1ut/MixMatch-pytorch",
    "mlc-llm": "mlc-ai/mlc-llm",
    "mlcolvar": "luigibonati/mlcolvar",
    "mlx": "ml-explore/mlx",
    "mmcv": "open-mmlab/mmcv",
    "mmdetection": "open-mmlab/mmdetection",
    "mmpretrain": "open-mmlab/mmpretrain",
    "moco": "facebookresearch/moco",
    "ModernBERT": "AnswerDotAI/ModernBERT",
    "mxnet": "apache/mxnet",
    "neon": "NervanaSystems/neon",
    "nncf": "openvinotoolkit/nncf",
    "nnUNet": "MIC-DKFZ/nnUNet",
    "onnx": "onnx/onnx",
    "onnx-mlir": "onnx/onnx-mlir",
    "onnxruntime": "microsoft/onnxruntime",
    "onnxscript": "microsoft/onnxscript",
    "opacus": "meta-pytorch/opacus",
    "Open-Sora-Plan": "PKU-YuanGroup/Open-Sora-Plan",
    "OpenNMT-tf": "OpenNMT/OpenNMT-tf",
    "openvino": "openvinotoolkit/openvino",
    "peft": "huggingface/peft",
    "physicsnemo": "NVIDIA/physicsnemo",
    "pytorch": "pytorch/pytorch",
    "PyTorch-Multi-Style-Transfer": "zhanghang1989/PyTorch-Multi-Style-Transfer",
    "pytorch-pfn-extras": "pfnet/pytorch-pfn-extras",
    "pytorch_ema": "fadel/pytorch_ema",
    "rf-detr": "roboflow/rf-detr",
    "sb3-contrib": "Stable-Baselines-Team/stable-baselines3-contrib",
    "ScaleCrafter": "YingqingHe/ScaleCrafter",
    "self-critical.pytorch": "ruotianluo/self-critical.pytorch",
    "self-ensemble-visual-domain-adapt-photo": "Britefury/self-ensemble-visual-domain-adapt-photo",
    "sglang": "sgl-project/sglang",
    "skip-ganomaly": "samet-akcay/skip-ganomaly",
    "snowfall": "k2-fsa/snowfall",
    "SoundCLR": "alireza-nasiri/SoundCLR",
    "SPNet": "houqb/SPNet",
    "stable-diffusion.cpp": "leejet/stable-diffusion.cpp",
    "tensorflow": "tensorflow/tensorflow",
    "timm": "huggingface/pytorch-image-models",
    "TPlinker": "131250208/TPlinker-joint-extraction",
    "transformers": "huggingface/transformers",
    "tt-metal": "tenstorrent/tt-metal",
    "VideoX-Fun": "aigc-apps/VideoX-Fun",
    "vision": "pytorch/vision",
    "vllm": "vllm-project/vllm",
    "Wan2.1": "Wan-Video/Wan2.1",
    "xformers": "facebookresearch/xformers",
    "yolov3-tf2": "zzh8829/yolov3-tf2",
}
"""Short names of repositories, as the rules use them."""

_THREAD = re.compile(r"(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:#|\s+PR\s+)(?P<number>\d+)")
_ADDRESS = re.compile(r"https://[\w./#-]*\w")
_PAPER = re.compile(r"arXiv (?P<number>\d{4}\.\d{4,5})")


def linked(text: str) -> str:
    """Markdown with a link at each thread, paper and address.

    >>> linked("keras#1921 (open)")
    '[keras#1921](https://github.com/keras-team/keras/issues/1921) (open)'
    >>> linked("arXiv 1801.05134")
    '[arXiv 1801.05134](https://arxiv.org/abs/1801.05134)'
    """

    def thread(match: re.Match[str]) -> str:
        name = match["name"]
        whole = REPOSITORIES.get(name, name if "/" in name else "")
        if not whole:
            return match[0]
        # a pull request is found by the address of an issue too
        return f"[{match[0]}](https://github.com/{whole}/issues/{match['number']})"

    text = _ADDRESS.sub(lambda m: f"[{m[0].removeprefix('https://')}]({m[0]})", text)
    text = _THREAD.sub(thread, text)
    return _PAPER.sub(lambda m: f"[{m[0]}](https://arxiv.org/abs/{m['number']})", text)


def unlinked(text: str) -> list[str]:
    """The threads in a text of whose repository nothing is known here."""
    return [
        match[0]
        for match in _THREAD.finditer(text)
        if match["name"] not in REPOSITORIES and "/" not in match["name"]
    ]


def numbers_alone(text: str) -> list[str]:
    """The numbers of threads in a text that stand without a repository, as in "and #21935"."""
    return re.findall(r"(?<![\w.-])#\d+", text)


def named(text: str) -> set[str]:
    """The short names of repositories in a text."""
    return {match["name"] for match in _THREAD.finditer(text)} & REPOSITORIES.keys()

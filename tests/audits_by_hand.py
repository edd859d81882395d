"""Audits made by hand, so that reports are tested without a framework, and whatever rules say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from normscope.audit.allowances import Allowed
from normscope.audit.baseline import Entry
from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, Maker, ModelGraph, Site
from normscope.audit.promises import About, Kind as PromiseKind, Promise, Standing, Wanted
from normscope.audit.result import Audit
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.registry import advice_of
from normscope.notation.spec import Measure, NormSpec, Running
from normscope.sight.verdict import Samples, Through, Word

TRAINED = Samples(
    Word.MIXED,
    Through("layer1.0.bn1", "BatchNorm2d", "aten.native_batch_norm", "resnet.py:12"),
    "its statistics are those of the batch",
)
APART = Samples(Word.PROVED)


def batch_norm(path: str, channels: int, size: int, bias: bool = False) -> Site:
    """A batch normalization after a convolution, with or without a bias that it makes useless."""
    train = NormSpec(
        "[b] c [h w]", sizes={"c": channels}, scale="c", bias="c", running=Running(0.9, ddof=1)
    )
    declared = Declaration("torch.nn.BatchNorm2d", train, train.inference())
    return Site(
        path=path,
        type="BatchNorm2d",
        title="torch.nn.BatchNorm2d",
        train=train,
        infer=train.inference(),
        input_shape=(4, channels, size, size),
        declared=declared,
        operator="aten.native_batch_norm",
        composite=True,
        source="resnet.py:12",
        verified=True,
        max_ulp=2.5,
        makers=(Maker(path.replace("bn", "conv"), 1, bias, True, True, True),),
    )


def layer_norm(path: str, pattern: str = "b s [c]", **more: object) -> Site:
    """A layer normalization of torch, by default of tokens."""
    shared = pattern[pattern.index("[") + 1 : pattern.index("]")]
    spec = NormSpec(pattern, scale=shared, bias=shared)
    site = Site(
        path=path,
        type="LayerNorm",
        title="torch.nn.LayerNorm",
        train=spec,
        infer=spec,
        input_shape=(4, 16, 64) if len(pattern.split()) == 3 else (4, 8, 6, 5),
        operator="aten.native_layer_norm",
        composite=True,
        verified=True,
        max_ulp=1.0,
    )
    return replace(site, **more)  # type: ignore[arg-type]


def root_mean_square(path: str, width: int = 64) -> Site:
    """A root mean square norm, as language models write it."""
    spec = NormSpec("b s [c]", center=False, measure=Measure.MEAN_SQUARE, eps=1e-6, scale="c")
    return layer_norm(
        path,
        type="RMSNorm",
        title="RMSNorm",
        train=spec,
        infer=spec,
        input_shape=(4, 16, width),
        operator="aten.pow",
        source="decoder.py:31",
    )


def global_response_norm(path: str) -> Site:
    """What mixes values as no pattern says it."""
    return Site(
        path,
        "GRN",
        "aten.linalg_vector_norm in GRN",
        None,
        None,
        (4, 5, 5, 16),
        kind=Kind.MIXING,
        operator="aten.linalg_vector_norm",
        words="global response norm",
    )


def model(sites: Sequence[Site], **more: object) -> ModelGraph:
    """A live model of torch with these sites, in which no sample sees another."""
    graph = ModelGraph(
        file="",
        name="Net",
        format="live",
        framework="torch",
        provenance="called with x (b=4, c=3, h=224, w=224), 175 operators",
        advice=advice_of("torch"),
        sites=tuple(sites),
        samples={"training": APART, "inference": APART},
    )
    return replace(graph, **more)  # type: ignore[arg-type]


def audit_of(graph: ModelGraph, verbose: bool = False) -> Audit:
    """An audit of these sites, with findings that four rules could have made."""
    by_site = tuple(tuple(_findings(site)) for site in graph.sites)
    found = tuple(finding for findings in by_site for finding in findings)
    return Audit(graph, found, verbose, by_site)


def _findings(site: Site) -> Iterator[Finding]:
    def finding(
        code: str, name: str, severity: Severity, message: str, fix: str, **evidence: object
    ) -> Finding:
        return Finding(code, name, severity, site.path, message, fix, evidence)

    if site.path.endswith("rows"):
        yield finding(
            "NS102",
            "channel-axis-mismatch",
            Severity.ERROR,
            "each set is one line along axis 3 (w), of length 5, but conv puts the channels on "
            "axis 1 (c), of length 8",
            'normalize over the channels: "b [c] h w", normscope.layers.torch.Norm',
            shared_axis=3,
            channel_axis=1,
            channel_sources=["conv"],
            input_shape=list(site.input_shape or ()),
        )
    if site.train is not None and not site.train.eps:
        yield finding(
            "NS201",
            "eps-below-dtype",
            Severity.ERROR,
            "there is no eps: a constant statistics set gives 0/0 (NaN)",
            "use an eps of at least 1e-06 in float32",
            eps=0.0,
            dtype=site.dtype,
        )
    if site.infer is not None and (site.infer.pattern or "").startswith("[b]"):
        yield finding(
            "NS302",
            "batch-statistics-at-inference",
            Severity.ERROR,
            "at inference, too, mean and variance are those of the batch, so a prediction changes "
            "with the other samples in it",
            "use a layer with running statistics (torch.nn.BatchNorm1d, 2d or 3d with "
            "track_running_stats=True)\nor one whose statistics lie within one sample",
            pattern=site.infer.pattern,
            set_size_at_batch_1=64,
        )
    for maker in site.makers:
        if maker.adds_bias:
            yield finding(
                "NS401",
                "redundant-bias",
                Severity.INFO,
                f"the bias of {maker.path} is subtracted again with the mean",
                f"give {maker.path} bias=False",
                maker=maker.path,
            )


def resnet(bias: bool = False) -> Audit:
    """A network of 53 batch normalizations, as deep as ResNet-50."""
    sizes = [(64, 56), (128, 28), (256, 14), (512, 7)]
    blocks = [(1, 3), (2, 4), (3, 6), (4, 3)]
    sites = [batch_norm("bn1", 64, 112, bias)]
    for (channels, size), (stage, times) in zip(sizes, blocks, strict=True):
        for block in range(times):
            path = f"layer{stage}.{block}"
            sites += [batch_norm(f"{path}.bn{n}", channels, size, bias) for n in (1, 2)]
            sites.append(batch_norm(f"{path}.bn3", 4 * channels, size, bias))
            if not block:
                sites.append(batch_norm(f"{path}.downsample.bn", 4 * channels, size, bias))
    return audit_of(model(sites, samples={"training": TRAINED, "inference": APART}))


def transformer(blocks: int = 24) -> Audit:
    """A network of tokens with two normalizations in each block, and one at its end."""
    names = [f"encoder.layers.{k}.norm{n}" for k in range(blocks) for n in (1, 2)]
    return audit_of(model([*map(layer_norm, names), layer_norm("encoder.norm")]))


def mixed(count: int = 12) -> Audit:
    """A model with every kind of site, and findings of every severity, about the model too."""
    couples = NormSpec("[b] c [h w]", scale="c", bias="c")
    groups = NormSpec("b (g [c]) [h w]", sizes={"g": 2}, scale="g c", bias="g c")
    unknown = layer_norm(
        "head.scale", kind=Kind.UNKNOWN, verified=False, max_ulp=None, words="asked, it gave NaN"
    )
    stored = replace(
        batch_norm("stem.frozen", 8, 6),
        kind=Kind.STORED,
        train=batch_norm("", 8, 6).infer,
        remembered=batch_norm("", 8, 6).train,
    )
    sites = [
        stored,
        replace(batch_norm("stem.bn", 16, 8), train=couples, infer=couples, declared=None),
        *(batch_norm(f"body.{k}.bn", 16, 8, bias=True) for k in range(count)),
        layer_norm("body.group", train=groups, infer=groups, input_shape=(4, 8, 6, 5)),
        layer_norm("body.instance", "b c [h w]"),
        layer_norm("body.rows", "b c h [w]", makers=(Maker("conv", 1, convolves=True),)),
        global_response_norm("body.grn"),
        root_mean_square("head.rms"),
        layer_norm(
            "head.eps", train=NormSpec("b s [c]", eps=0.0), infer=NormSpec("b s [c]", eps=0.0)
        ),
        unknown,
        layer_norm(""),
    ]
    graph = model(
        sites,
        name="Mixed",
        samples={"training": TRAINED, "inference": Samples(Word.MIXED, Through("stem.bn", "Norm"))},
        unknown_operators={"my::op": 2},
        notes=("The second input was made up: it is told by no shape.",),
        assumed=("the backend is not told; with the other one, eps would be 0.001",),
        dismissed=(layer_norm("attn", dismissed="a softmax, or weights that sum to one"),),
    )
    audit = audit_of(graph, verbose=True)
    whole = Finding(
        "NS401",
        "redundant-bias",
        Severity.WARNING,
        "",
        "12 of the 16 convolutions have a bias that is subtracted again",
        "give them bias=False",
        {"convolutions": 16, "with_bias": 12},
    )
    return replace(audit, of_model=(whole,), findings=(whole, *audit.findings))


def accepted() -> Audit:
    """A model with promises that are kept, broken and not known, and findings that do not count."""
    audit = mixed(3)
    through = Through("stem.bn", "Norm", "aten.var_mean", "net.py:12")
    samples = Wanted(PromiseKind.INDEPENDENT, "b")
    steps = Wanted(PromiseKind.CAUSAL, "t", ("inference",))
    promises = (
        Promise(
            samples, About.SAMPLES, "training", Standing.BROKEN, "", through, "it spans b", (1,)
        ),
        Promise(samples, About.SAMPLES, "inference", Standing.KEPT, "proved"),
        Promise(steps, About.STEPS, "inference", Standing.UNKNOWN, "", None, "an order decides"),
    )
    at_site = {finding.code: finding for findings in audit.by_site for finding in findings}
    left_out = (at_site["NS102"], at_site["NS302"])
    by_site = tuple(
        tuple(finding for finding in findings if finding not in left_out)
        for findings in audit.by_site
    )
    return replace(
        audit,
        graph=replace(audit.graph, promises=promises),
        by_site=by_site,
        findings=(*audit.of_model, *(finding for there in by_site for finding in there)),
        allowed=(Allowed(at_site["NS302"], "test-time adaptation"),),
        known=(at_site["NS102"],),
        stale=(Entry("head.old", "NS201", "* * [*]"),),
    )


EVIL = "</script><img src=x onerror=document.title='owned'>\x1b[31m\n\u202e\x00&amp;\ud800\uffff"
"""A name that is markup, an escape sequence, a line, and what neither XML nor UTF-8 can hold."""


def hostile() -> Audit:
    """A model in which every name that comes from a stranger is hostile."""
    site = replace(
        batch_norm(EVIL, 8, 6, bias=True),
        type=EVIL,
        title=EVIL,
        source=f"{EVIL}:3",
        words=EVIL,
        differs=EVIL,
    )
    eps = layer_norm(f"a.{EVIL}.b", train=NormSpec("b s [c]", eps=0.0), title=EVIL)
    graph = model(
        [site, eps],
        name=EVIL,
        file=f"{EVIL}.onnx",
        provenance=EVIL,
        unknown_operators={EVIL: 1},
        details={EVIL: EVIL},
        assumed=(EVIL,),
        notes=(EVIL,),
        dismissed=(layer_norm(EVIL, dismissed=EVIL),),
        samples={"training": Samples(Word.MIXED, Through(EVIL, EVIL, EVIL, EVIL), EVIL)},
    )
    return audit_of(graph, verbose=True)


def many(count: int = 2000) -> Audit:
    """A model of so many sites in nested layers, some of each kind, every seventh with a bias."""
    sites: list[Site] = []
    for k in range(count):
        path = f"model.stage{k // 400}.block{k // 20 % 20}"
        match k % 5:
            case 0:
                sites.append(batch_norm(f"{path}.bn{k}", 2 ** (4 + k // 400), 28, bias=not k % 7))
            case 1:
                sites.append(layer_norm(f"{path}.norm{k}"))
            case 2:
                sites.append(root_mean_square(f"{path}.rms{k}", 32 * (1 + k % 3)))
            case 3:
                sites.append(layer_norm(f"{path}.in{k}", "b c [h w]"))
            case _:
                eps = NormSpec("b s [c]", eps=0.0 if k % 3 else 1e-5)
                sites.append(layer_norm(f"{path}.plain{k}", train=eps, infer=eps))
    return audit_of(model(sites, name="Large"))


def empty() -> Audit:
    """A model without any normalization."""
    return audit_of(model([]))


ALL = {
    "empty": empty,
    "resnet": resnet,
    "resnet with biases": lambda: resnet(bias=True),
    "transformer": transformer,
    "mixed": mixed,
    "accepted": accepted,
    "hostile": hostile,
}

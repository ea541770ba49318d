"""Published weights come from the caches on this machine; the network is used by `download` alone."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from torch import nn

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, NasvizError, UnknownNameError, WeightsError
from nasviz.models import build
from nasviz.models.published import download

COMMIT = "0" * 40
SUM = "e358f48f"  # of b"as published"
TORCHVISION = "torchvision:shufflenet_v2_x0_5:IMAGENET1K_V1"
TIMM = "timm:test_resnet.r160_in1k"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, and no address that can be reached but this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    reach = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        assert address[0] == "127.0.0.1", f"reached out to {address}"
        reach(self, address)

    def resolve(*args: object, **options: object) -> None:
        pytest.fail(f"looked up {args[0]}")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return tmp_path


def put(caches: Path, repository: str) -> Path:
    """Return the folder of a repository in the cache of Hugging Face."""
    folder = caches / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    return folder / "snapshots" / COMMIT


def same(model: nn.Module, state: dict[str, torch.Tensor], skipped: tuple[str, ...] = ()) -> bool:
    own = model.state_dict()
    return all(torch.equal(own[name], value) for name, value in state.items() if not name.startswith(skipped))


@pytest.fixture(scope="module")
def shuffle() -> nn.Module:
    return torchvision.models.shufflenet_v2_x0_5()


def bert() -> transformers.BertForSequenceClassification:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=40, num_labels=3, **sizes)
    )


@pytest.mark.parametrize("name", [TORCHVISION, TIMM, "hf:nobody/nothing"])
def test_nothing_is_fetched_without_consent(name: str) -> None:
    with pytest.raises(WeightsError, match="--download"):
        build(NetworkSource(name))


@pytest.mark.parametrize("name", ["torchvision:resnet18:BEST", "timm:test_resnet.of_nobody"])
def test_an_unknown_name_is_answered_with_those_that_exist(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"IMAGENET1K_V1|r160_in1k"):
        build(NetworkSource(name))


@pytest.mark.parametrize("classes", [None, 7])
def test_torchvision(classes: int | None, shuffle: nn.Module, caches: Path) -> None:
    url = torchvision.models.get_weight("ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1").url
    file = caches / "torch" / "hub" / "checkpoints" / Path(url).name
    file.parent.mkdir(parents=True)
    torch.save(shuffle.state_dict(), file)
    source = NetworkSource(TORCHVISION, (3, 64, 64), classes)
    assert source.name == "shufflenet_v2_x0_5"
    assert NetworkSource.from_json(source.to_json()) == source
    model, inputs = build(source)
    assert same(model, shuffle.state_dict(), ("fc.",) if classes else ())
    assert model(*inputs).shape == (2, classes or 1000)


@pytest.mark.parametrize("classes", [None, 7])
def test_timm(classes: int | None, caches: Path) -> None:
    published = timm.create_model("test_resnet").state_dict()
    save_file(
        published,
        put(caches, timm.get_pretrained_cfg("test_resnet.r160_in1k").hf_hub_id) / "model.safetensors",
    )
    model, inputs = build(NetworkSource(TIMM, (3, 64, 64), classes))
    assert same(model, published, ("fc.",) if classes else ())
    assert model(*inputs).shape == (2, classes or 1000)


@pytest.mark.parametrize("classes", [None, 7])
def test_a_text_classifier_of_the_hub(classes: int | None, caches: Path) -> None:
    published, folder = bert(), put(caches, "someone/tiny-bert")
    published.save_pretrained(folder)
    model, inputs = build(NetworkSource("hf:someone/tiny-bert", num_classes=classes))
    assert same(model, published.state_dict(), ("classifier.",) if classes else ())
    assert model(*inputs).logits.shape == (2, classes or 3)


def test_a_network_of_timm_on_the_hub(caches: Path) -> None:
    published, folder = timm.create_model("test_resnet", num_classes=5).state_dict(), put(caches, "a/b")
    save_file(published, folder / "model.safetensors")
    config = {"architecture": "test_resnet", "num_classes": 5, "pretrained_cfg": {"input_size": [3, 64, 64]}}
    (folder / "config.json").write_text(json.dumps(config))
    model, inputs = build(NetworkSource("hf:a/b"))
    assert same(model, published)
    assert inputs[0].shape == (2, 3, 64, 64)
    (folder / "config.json").write_text(json.dumps(config | {"model_args": {"checkpoint_path": "/etc/x"}}))
    with pytest.raises(WeightsError, match="checkpoint_path"):
        build(NetworkSource("hf:a/b"))


def test_code_of_a_repository_is_not_run(caches: Path) -> None:
    folder = put(caches, "a/code")
    bert().save_pretrained(folder)
    ran = caches / "ran"
    (folder / "modeling.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    config = json.loads((folder / "config.json").read_text())
    codes = {"auto_map": {"AutoModel": "modeling.Own", "AutoConfig": "modeling.Own"}}
    (folder / "config.json").write_text(json.dumps(config | codes))
    build(NetworkSource("hf:a/code"))  # a class of transformers: its own code is not looked at
    (folder / "config.json").write_text(json.dumps(config | codes | {"architectures": ["Own"]}))
    with pytest.raises(WeightsError, match="never run"):
        build(NetworkSource("hf:a/code"))
    assert not ran.exists()


def tiny_bert(caches: Path, **changed: object) -> Path:
    """Return the folder of a BERT in the cache, whose configuration is changed."""
    folder = put(caches, "a/b")
    bert().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(config))
    return folder


REMOTE_BACKBONE = {"model_type": "timm_backbone", "backbone": "hf-hub:evil/repo"}


@pytest.mark.parametrize(
    "changed",
    [
        {"attn_implementation": "kernels-community/flash-attn2"},
        {"_attn_implementation": "evil/attn"},
        {"_attn_implementation_internal": "flash_attention_2"},
        {"text_config": {"attn_implementation": {"": "evil/attn"}}},
        {"experts_implementation": "evil/experts"},
        {"parts": [{"quantization_config": {"quant_method": "bitsandbytes"}}]},
        {"backbone_config": REMOTE_BACKBONE},
        {"vision_config": {"model_type": "timm_wrapper", "model_args": {"checkpoint_path": "/etc/x"}}},
    ],
    ids=str,
)
def test_a_configuration_that_names_code_or_other_places_is_refused(
    changed: dict[str, object], caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_bert(caches, **changed)
    monkeypatch.setattr(
        transformers.BertForSequenceClassification, "__init__", lambda *a: pytest.fail("built")
    )
    with pytest.raises(WeightsError, match=r"not followed|not read"):
        build(NetworkSource("hf:a/b"))


def test_the_hub_is_offline_while_a_network_is_built(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_bert(caches)
    seen: list[bool] = []
    init = transformers.BertForSequenceClassification.__init__

    def spy(self: nn.Module, *args: object, **options: object) -> None:
        seen.append(huggingface_hub.constants.HF_HUB_OFFLINE)
        init(self, *args, **options)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transformers.BertForSequenceClassification, "__init__", spy)
    build(NetworkSource("hf:a/b"))
    assert seen == [True]
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("classes", [None, 7])
@pytest.mark.parametrize("fault", ["prefix", "layer", "size"])
def test_weights_of_the_hub_are_whole(fault: str, classes: int | None, caches: Path) -> None:
    folder = tiny_bert(caches, **({"vocab_size": 50} if fault == "size" else {}))
    state = {name: value.clone() for name, value in bert().state_dict().items()}
    if fault == "prefix":
        state = {f"x.{name}": value for name, value in state.items()}
    elif fault == "layer":
        del state["bert.encoder.layer.0.output.dense.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"a/b"):
        build(NetworkSource("hf:a/b", num_classes=classes))


def test_weights_of_the_hub_are_of_single_precision(caches: Path) -> None:
    folder = tiny_bert(caches, dtype="float16")
    bert().half().save_pretrained(folder)
    model, _ = build(NetworkSource("hf:a/b"))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_shards_of_the_hub_lie_in_their_folder(caches: Path) -> None:
    folder = tiny_bert(caches)
    outside = (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    names = dict.fromkeys(bert().state_dict(), f"../{outside.name}")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    with pytest.raises(WeightsError, match="not a file beside it"):
        build(NetworkSource("hf:a/b"))


@pytest.mark.parametrize(
    "config",
    [
        "[1]",
        "{",
        "[" * 100_000,
        '{"architectures": {}}',
        '{"architectures": ["BertForSequenceClassification"], "hidden_size": "x"}',
        '{"architectures": ["BertForSequenceClassification"], "id2label": [1]}',
        '{"architectures": ["TimmBackbone"]}',
        '{"architecture": "test_resnet", "model_args": []}',
        '{"architecture": "test_resnet", "pretrained_cfg": [1], "num_classes": "x"}',
        '{"architecture": "test_resnet", "pretrained_cfg": {"input_size": [1]}}',
        '{"architecture": "test_resnet", "model_args": {"block": 3}}',
        '{"architecture": "hf-hub:evil/repo"}',
    ],
)
def test_a_configuration_of_something_else_is_refused(config: str, caches: Path) -> None:
    folder = put(caches, "a/b")
    (folder / "config.json").write_text(config)
    (folder / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(NasvizError):
        build(NetworkSource("hf:a/b"))


def test_damaged_weights_of_the_hub_are_refused(caches: Path) -> None:
    (tiny_bert(caches) / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="a/b"):
        build(NetworkSource("hf:a/b"))


def test_a_network_of_several_inputs_asks_for_them(caches: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    image = {"image_size": 16, "patch_size": 8}
    config = transformers.CLIPConfig(
        text_config=sizes | {"vocab_size": 40}, vision_config=sizes | image, projection_dim=16
    )
    transformers.CLIPModel(config).save_pretrained(put(caches, "a/b"))
    with pytest.raises(WeightsError, match="--input"):
        build(NetworkSource("hf:a/b"))


def test_a_network_of_another_family_has_no_weights_of_torchvision() -> None:
    with pytest.raises(UnknownNameError, match="demonet"):
        build(NetworkSource("torchvision:demonet:DEFAULT"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("torchvision:resnet18:DEFAULT", {"weights": "w.pt"}),
        ("resnet34", {"weights": "torchvision:resnet18:DEFAULT"}),
        ("resnet18", {"ema": True}),
        ("hf:a/b", {"settings": {"width": 1}}),
    ],
)
def test_parts_that_contradict_each_other_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidSettingError):
        NetworkSource(name, **options)


# ---- download ----


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server of files on this machine, which answers as the hub does."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.partition("?")[0])
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{abs(hash(content))}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *words: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", files
        httpd.shutdown()
        thread.join()


def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the address of the server be looked up."""
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *a, **o: [(*answer[0], (host, port))])


def test_weights_of_torchvision_are_fetched_and_checked(
    server: tuple[str, dict[str, bytes]], caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, files = server
    local(monkeypatch)
    weights = torchvision.models.get_weight("ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1")
    monkeypatch.setattr(weights.value, "url", f"{address}/w-ffffffff.pth")
    files["/w-ffffffff.pth"] = b"other bytes than those published"
    with pytest.raises(WeightsError, match="hash"):
        download(TORCHVISION)
    assert not list(caches.rglob("*.pth"))
    monkeypatch.setattr(weights.value, "url", f"{address}/w-{SUM}.pth")
    files[f"/w-{SUM}.pth"] = b"as published"
    download(TORCHVISION)
    assert [file.read_bytes() for file in caches.rglob("*.pth")] == [b"as published"]


def test_a_repository_of_the_hub_is_fetched_as_data(
    server: tuple[str, dict[str, bytes]], caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, files = server
    local(monkeypatch)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    bert().save_pretrained(caches / "made")
    names = ["config.json", "model.safetensors", "modeling.py", "pytorch_model.bin"]
    listed = [{"type": "file", "path": name, "size": 1, "oid": COMMIT} for name in names]
    files["/api/models/a/b/revision/main"] = json.dumps({"sha": COMMIT, "id": "a/b"}).encode()
    files[f"/api/models/a/b/tree/{COMMIT}"] = json.dumps(listed).encode()
    for name in names[:2]:
        files[f"/a/b/resolve/{COMMIT}/{name}"] = (caches / "made" / name).read_bytes()
    download("hf:a/b")
    assert {file.name for file in (caches / "hub").rglob("snapshots/*/*")} == set(names[:2])
    build(NetworkSource("hf:a/b"))

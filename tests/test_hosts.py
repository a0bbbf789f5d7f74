"""Multi-node training: torchrun in two network namespaces that are connected by a virtual Ethernet cable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent
ADDRESSES = ("10.213.77.1", "10.213.77.2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"),
        reason="making network namespaces needs root and iproute2 on Linux",
    ),
]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """The names of two connected network namespaces."""
    names = [f"zoo{os.getpid()}{end}" for end in "ab"]
    try:
        ip("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    try:
        ip("netns", "add", names[1])
        cable = [f"zoo{end}" for end in "ab"]
        ip("link", "add", cable[0], "netns", names[0], "type", "veth", "peer", "name", cable[1], "netns", names[1])
        for name, end, address in zip(names, cable, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.mark.parametrize("member", ["deep_relu_xavier", "dropout_batchnorm"])
def test_two_hosts_train_the_same_network(hosts: list[str], member: str, tmp_path: Path) -> None:
    fit = ["fit", "--config", member, "--config", "trainer/multi_node", "--trainer.accelerator", "cpu"]
    fit += ["--trainer.devices", "1", "--data.num_train", "3000", "--trainer.max_epochs", "2"]
    fit += ["--trainer.callbacks", '{"class_path": "tests.helpers.WriteWeights"}']
    processes = []
    for node, (host, address) in enumerate(zip(hosts, ADDRESSES, strict=True)):
        folder = tmp_path / f"host{node}"
        folder.mkdir()
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
        torchrun += ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"{ADDRESSES[0]}:29533", "--rdzv_id", member]
        # Without a name server, the first host does not recognize the address as its own.
        torchrun += ["--rdzv_conf", f"is_host={int(node == 0)}", "--local_addr", address, "-m", "zoo"]
        processes.append(
            subprocess.Popen(
                ["ip", "netns", "exec", host, *torchrun, *fit],
                cwd=folder,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": str(SOURCE),
                    "GLOO_SOCKET_IFNAME": f"zoo{'ab'[node]}",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert sum(output.count("Test set:") for output in outputs) == 1
    digests = {path.read_text() for path in tmp_path.glob("host*/weights-*.txt")}
    assert len(list(tmp_path.glob("host*/weights-*.txt"))) == 2
    assert len(digests) == 1

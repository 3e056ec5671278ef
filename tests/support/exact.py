"""
Run a script, and write down every loss that it goes backward from, bit by bit.

Called with a file for the losses, the script, and the script's own arguments.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import torch


def main() -> None:
    losses: list[str] = []
    backward = torch.Tensor.backward

    def noted(self, *args, **kwargs):
        losses.append(self.detach().item().hex())
        return backward(self, *args, **kwargs)

    file, script = Path(sys.argv[1]), sys.argv[2]
    torch.Tensor.backward = noted
    sys.argv[:] = sys.argv[2:]
    # As when the script itself is started.
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")
    file.write_text("\n".join(losses))


if __name__ == "__main__":
    main()

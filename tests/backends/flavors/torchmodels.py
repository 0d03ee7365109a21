"""Networks for tests; a module of its own, since it imports PyTorch, and TorchScript reads its source."""

import torch


class Net(torch.nn.Module):
    """Two layers over columns of numbers."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.first = torch.nn.Linear(inputs, 8)
        self.last = torch.nn.Linear(8, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        known = torch.nan_to_num(rows) / 100
        return torch.softmax(self.last(torch.relu(self.first(known))), 1)


class Two(torch.nn.Module):
    """Takes an image and a number for each row, and gives two things."""

    def forward(self, image: torch.Tensor, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = image.sum(dim=(1, 2)) * scale
        return total, image * 2

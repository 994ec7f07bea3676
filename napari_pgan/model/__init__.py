"""Networks, the model file, and the `Model` that users work with."""

from napari_pgan.model.batch import Batch, refined_rows
from napari_pgan.model.card import Card, Condition
from napari_pgan.model.encoders import Encoders, EncoderShape
from napari_pgan.model.label_encoding import Encoding
from napari_pgan.model.latents import latents_of_seeds
from napari_pgan.model.model import Model, find_model, load_model, shipped_models
from napari_pgan.model.model_file import add_encoders, read_card, read_critic, read_encoders, read_model, write_model
from napari_pgan.model.networks import Architecture, Critic, Generator

__all__ = [
    "Architecture",
    "Batch",
    "Card",
    "Condition",
    "Critic",
    "EncoderShape",
    "Encoders",
    "Encoding",
    "Generator",
    "Model",
    "add_encoders",
    "find_model",
    "latents_of_seeds",
    "load_model",
    "read_card",
    "read_critic",
    "read_encoders",
    "read_model",
    "refined_rows",
    "shipped_models",
    "write_model",
]

"""Dimensions of the demonstration model, in the keys of the released configuration files."""

FEATURE_DIM = 128       # hidden size of the wav2vec 2.0 features
LATENT_DIM = 64         # input of the semantic quantizer
CONDITION_DIM = 192     # speaker vector, and input of the wave generator
TRAINED_BLOCKS = 3      # of wav2vec 2.0; the others are exported as identities
TEXT_VOCAB_SIZE = 256   # bytes only, no merges

BICODEC = {
    "mel_params": {"sample_rate": 16000, "n_fft": 1024, "win_length": 640, "hop_length": 320,
                   "mel_fmin": 10, "mel_fmax": None, "num_mels": 128},
    "encoder": {"input_channels": FEATURE_DIM, "vocos_dim": 128, "vocos_intermediate_dim": 384,
                "vocos_num_layers": 3, "out_channels": LATENT_DIM, "sample_ratios": [1, 1]},
    "decoder": {"input_channel": CONDITION_DIM, "channels": 192, "rates": [8, 5, 4, 2],
                "kernel_sizes": [16, 11, 8, 4]},
    "quantizer": {"input_dim": LATENT_DIM, "codebook_size": 256, "codebook_dim": 8,
                  "commitment": 0.25, "codebook_loss_weight": 1.0, "use_l2_normlize": True,
                  "threshold_ema_dead_code": 0.1},
    "speaker_encoder": {"input_dim": 128, "out_dim": CONDITION_DIM, "latent_dim": 32,
                        "token_num": 32, "fsq_levels": [4, 4, 4], "fsq_num_quantizers": 1,
                        "ecapa_channels": 64},
    "prenet": {"input_channels": LATENT_DIM, "vocos_dim": 192, "vocos_intermediate_dim": 576,
               "vocos_num_layers": 4, "out_channels": CONDITION_DIM,
               "condition_dim": CONDITION_DIM, "sample_ratios": [1, 1],
               "use_tanh_at_final": False},
}

WAV2VEC2 = {"conv_dim": [64] * 7, "hidden_size": FEATURE_DIM, "intermediate_size": 256,
            "num_attention_heads": 4, "num_hidden_layers": 17}

LLM = {"hidden_size": 256, "intermediate_size": 640, "num_hidden_layers": 5,
       "num_attention_heads": 4, "num_key_value_heads": 2}

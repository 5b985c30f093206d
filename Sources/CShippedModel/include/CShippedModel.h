// The models that ship inside the binary, GGUF files as they are. How they were made: Documentation/ShippedModel.md and
// Documentation/ShippedEncoder.md.
#ifndef MARTLET_SHIPPED_MODEL_H
#define MARTLET_SHIPPED_MODEL_H

/// A descriptor of anonymous memory that holds the model that writes; −1, with errno set, when the system gives none.
int martlet_shipped_model_open(void);

/// The bytes of the encoder of sentences.
int martlet_shipped_encoder_open(void);

#endif

// The model that ships inside the binary, a GGUF file as it is. How it was made: Documentation/ShippedModel.md.
#ifndef MARTLET_SHIPPED_MODEL_H
#define MARTLET_SHIPPED_MODEL_H

/// A descriptor of anonymous memory that holds the file; −1, with errno set, when the system gives none.
int martlet_shipped_model_open(void);

#endif

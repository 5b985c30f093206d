#define _GNU_SOURCE
#include "CShippedModel.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char english[] = {
#embed "english.gguf"
};

static const unsigned char sentences[] = {
#embed "sentences.gguf"
};

/// A descriptor of anonymous memory that holds `size` bytes of `model`.
static int opened(const unsigned char *model, size_t size) {
    int file = memfd_create("martlet-model", MFD_CLOEXEC);
    for (size_t done = 0; file >= 0 && done < size;) {
        ssize_t step = write(file, model + done, size - done);
        if (step < 0 && errno == EINTR) continue;
        if (step <= 0) {
            int code = errno;
            close(file);
            errno = code;
            return -1;
        }
        done += (size_t)step;
    }
    return file;
}

int martlet_shipped_model_open(void) { return opened(english, sizeof english); }

int martlet_shipped_encoder_open(void) { return opened(sentences, sizeof sentences); }

#define _GNU_SOURCE
#include "CShippedModel.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char model[] = {
#embed "english.gguf"
};

int martlet_shipped_model_open(void) {
    int file = memfd_create("martlet-model", MFD_CLOEXEC);
    for (size_t done = 0; file >= 0 && done < sizeof model;) {
        ssize_t step = write(file, model + done, sizeof model - done);
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

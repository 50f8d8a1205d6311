/* A folder of its own for the socket of a door: `path` in it, made and removed around the tests of a program. */
#ifndef DOOR_FOLDER_H
#define DOOR_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[80];

static inline int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/yarder-door-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/live.sock", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

#endif

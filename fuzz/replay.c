/* Runs a fuzz target over every file of the folders named on the command line: the corpus as a
 * plain test. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t cap = 1 << 20;
	uint8_t *data = malloc(cap);

	if (f == NULL || data == NULL)
		return 1;
	size_t n = fread(data, 1, cap, f);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	fclose(f);
	return 0;
}

int
main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		struct dirent *e;
		while (d != NULL && (e = readdir(d)) != NULL) {
			char path[4096];
			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (replay_file(path) != 0)
				return 1;
			count++;
		}
		if (d != NULL)
			closedir(d);
	}
	printf("%u inputs replayed\n", count);
	return count == 0;
}

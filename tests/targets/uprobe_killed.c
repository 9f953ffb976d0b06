/*
 * uprobe_killed - a tracer that is killed at the worst moment: uprobe_killed PID FILE OFFSET puts a uprobe on a place of
 * process PID and gets SIGKILL while the kernel takes it off again, which some kernels then leave undone. Exits with 3 if it
 * may not, 2 on bad usage; else it dies of SIGKILL.
 */
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int closing;

static void *killer(void *arg)
{
	(void)arg;
	while (!atomic_load(&closing))
		;
	kill(getpid(), SIGKILL);
	return NULL;
}

static uint32_t pmu_type(void)
{
	unsigned type = 0;
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	if (!file || fscanf(file, "%u", &type) != 1)
		_exit(3);
	fclose(file);
	return type;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	if (argc != 4)
		return 2;
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = pmu_type(),
		.uprobe_path = (uint64_t)(uintptr_t)argv[2],
		.probe_offset = strtoull(argv[3], NULL, 0),
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, atoi(argv[1]), -1, -1, 0);
	if (fd < 0)
		return 3;
	if (pthread_create(&thread, NULL, killer, NULL))
		return 3;
	usleep(1000);
	atomic_store(&closing, 1);
	close(fd);
	for (;;)
		pause();
}

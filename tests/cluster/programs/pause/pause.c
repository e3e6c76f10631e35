/* The process that holds a pod's namespaces: waits, ends when told to, and collects the dead. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int signal) { (void)signal; _exit(0); }
static void collect(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
  struct sigaction on_end = {.sa_handler = end};
  struct sigaction on_child = {.sa_handler = collect, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGTERM, &on_end, 0);
  sigaction(SIGINT, &on_end, 0);
  sigaction(SIGCHLD, &on_child, 0);
  for (;;) pause();
}

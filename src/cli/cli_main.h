/* cli_main.h - the whole program, for main(). */
#ifndef DOCROW_CLI_MAIN_H
#define DOCROW_CLI_MAIN_H

/* Returns the exit status. */
int cli_main(int argc, char **argv);

#endif

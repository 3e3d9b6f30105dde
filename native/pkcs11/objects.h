/* objects.h: searches that bring along what a program reads of objects; see objects.c. */
#ifndef KEYHOLM_OBJECTS_H
#define KEYHOLM_OBJECTS_H

/* What the program reads of objects was learnt before C_Initialize, perhaps by a parent. */
void objects_forget_habits(void);

#endif

//! What will be done, decided before anything is done. Pure: no I/O, no environment, no clock.

/* The interpreter's own python.exe, which no package brings, is no more than this. */
#include <stdio.h>
#include <windows.h>

int wmain(int argc, wchar_t **argv)
{
    HMODULE python = LoadLibraryW(LIBRARY);
    if (python == NULL) {
        fprintf(stderr, "the library of Python cannot be loaded: %lu\n", GetLastError());
        return 99;
    }
    return ((int (*)(int, wchar_t **))GetProcAddress(python, "Py_Main"))(argc, argv);
}

// tests/link_test.cpp - linked against each whole library, which must need nothing undeclared.
int main() {}

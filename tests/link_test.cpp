// tests/link_test.cpp - linked against each whole library: it must need nothing that it did not declare.
int main() {}

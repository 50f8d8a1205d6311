/* Nothing of its own: it exists to be linked with one whole floor and those below it. */
int main(void)
{
    return 0;
}

#include "slots.h"

uint32_t slot_bit(const struct source *source)
{
    return 1u << source->slot;
}

uint32_t operand_slots(const struct operand *operand)
{
    uint32_t slots = 0;
    if (!operand)
        return 0;
    if (operand->kind == OPERAND_COLUMN)
        return slot_bit(operand->source);
    for (size_t i = 0; i < operand->part_count; i++)
        slots |= operand_slots(operand->parts[i]);
    return slots;
}

bool is_known(const struct operand *operand, uint32_t bound)
{
    return !(operand_slots(operand) & ~bound);
}

uint32_t atom_slots(const struct condition *atom)
{
    return operand_slots(atom->left) | operand_slots(atom->right);
}

uint32_t negation_slots(const struct conjunct *negation)
{
    uint32_t needed = 0, own = 0;
    for (size_t i = 0; i < negation->atom_count; i++)
        needed |= atom_slots(negation->atoms[i]);
    for (size_t i = 0; i < negation->negation_count; i++)
        needed |= negation_slots(negation->negations[i]);
    for (size_t i = 0; i < negation->source_count; i++)
        own |= slot_bit(negation->sources[i]);
    return needed & ~own;
}

uint32_t component_slots(const struct conjunct *conjunct, uint32_t from, uint32_t open,
                         bool has_subject)
{
    uint32_t component = from, before;
    do {
        before = component;
        for (size_t i = 0; i < conjunct->atom_count; i++) {
            uint32_t slots = atom_slots(conjunct->atoms[i]) & open;
            component |= slots & component ? slots : 0;
        }
        for (size_t i = 0; i < conjunct->negation_count; i++) {
            uint32_t slots = negation_slots(conjunct->negations[i]) & open;
            component |= slots & component ? slots : 0;
        }
        if (has_subject && operand_slots(conjunct->subject) & component)
            component |= operand_slots(conjunct->subject) & open;
    } while (component != before);
    return component;
}
